//! One product at one moment: its segments, the texts of their profiles, its state and the results
//! of earlier checks. All decisions about segments are made on it, without I/O.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use chrono::{DateTime, Utc};

use super::holds::SweepHolds;
use super::state::ProductState;
use crate::review::SegmentReviews;
use crate::triggers::candidate::TriggerCandidate;
use ebbtide_base::ids::{Category, ProfileId};
use ebbtide_policy::Profile;
use ebbtide_table::{ControlsVersion, SegmentIndex, SegmentedTable, StoredSegment};

/// One product at one moment. The results of earlier checks are locked while it exists.
pub struct SweepView<'s> {
    /// The state of the product.
    pub state: &'s ProductState,
    /// Its table, with its segments.
    pub table: &'s SegmentedTable,
    /// The newest notice that the tags of all segments reflect according to the table, except those
    /// of an earlier policy.
    pub recorded_notice: ControlsVersion,
    /// The results of earlier checks of its segments.
    pub reviews: MutexGuard<'s, SegmentReviews>,
}

/// The segments that notices may concern, as far as is known without reading them.
#[derive(Debug, Default)]
pub struct TriggerFindings {
    /// The segments that must be read.
    pub candidates: Vec<TriggerCandidate>,
    /// The segments that no notice can concern.
    pub unconcerned: Vec<Arc<str>>,
}

impl<'s> SweepView<'s> {
    /// Returns the segments.
    #[must_use]
    pub fn segments(&self) -> &'s SegmentIndex {
        self.table.segments()
    }

    fn text(&self, segment: &StoredSegment) -> Option<&'s str> {
        self.table.profile_text(&segment.profile)
    }

    /// Returns the profile of a segment's rows; `None` if the table has no text for it that this
    /// version understands.
    #[must_use]
    pub fn profile(&self, segment: &StoredSegment) -> Option<Arc<Profile>> {
        self.state
            .triggers
            .profile(&segment.profile, self.text(segment))
    }

    /// Returns true if some category of a profile has no deadline yet, or if the table does not
    /// have the profile's text.
    #[must_use]
    pub fn is_open(&self, profile: &ProfileId) -> bool {
        let text = self.table.profile_text(profile);
        text.is_none_or(Profile::is_open_text)
    }

    /// Returns true if all rows of a segment are known to be held.
    #[must_use]
    pub fn is_held(&self, segment: &StoredSegment, held: &SweepHolds) -> bool {
        self.reviews.is_held_by(&segment.path, held.mark)
    }

    /// Returns true if a segment is of an earlier policy and its tags would differ under the active
    /// one.
    #[must_use]
    pub fn differs(&self, segment: &StoredSegment) -> bool {
        let lag = self.state.lag.as_ref();
        lag.is_some_and(|lag| lag.differs(segment, self.text(segment)))
    }

    /// Returns true if a segment's tags are those of an earlier policy and must be brought up to
    /// date before they are used.
    #[must_use]
    pub fn is_outdated(&self, segment: &StoredSegment) -> bool {
        let Some(lag) = &self.state.lag else {
            return false;
        };
        !self.reviews.is_settled(&segment.path, lag.activation())
            && lag.differs(segment, self.text(segment))
    }

    /// Returns a segment as the active policy sees it: an outdated one gets the deadlines that its
    /// rows will have.
    #[must_use]
    pub fn as_due<'x>(&self, segment: &'x StoredSegment) -> Cow<'x, StoredSegment> {
        match &self.state.lag {
            Some(lag) if self.is_outdated(segment) => Cow::Owned(StoredSegment {
                deadlines: lag.deadlines(segment, self.text(segment)),
                ..segment.clone()
            }),
            _ => Cow::Borrowed(segment),
        }
    }

    /// Returns true if a segment may have tags that are no longer true, as far as is known without
    /// reading it.
    #[must_use]
    pub fn is_suspected(&self, segment: &StoredSegment) -> bool {
        let notices = self.state.triggers.notices();
        !notices.is_empty() && !segment.cells && self.reflected(segment) < notices.newest()
    }

    /// Returns the newest notice that the tags of a segment certainly reflect.
    fn reflected(&self, segment: &StoredSegment) -> ControlsVersion {
        // The lookup of the review is the cheapest check.
        let seen = self.reviews.triggers(&segment.path);
        if seen >= self.recorded_notice || self.differs(segment) {
            seen
        } else {
            self.recorded_notice
        }
    }

    /// Returns those of `segments` that notices may concern.
    #[must_use]
    pub fn suspected<'x>(
        &self,
        segments: impl IntoIterator<Item = &'x StoredSegment>,
    ) -> TriggerFindings {
        let (triggers, mut found) = (&self.state.triggers, TriggerFindings::default());
        if triggers.notices().is_empty() {
            return found;
        }
        for segment in segments.into_iter().filter(|segment| !segment.cells) {
            let since = self.reflected(segment);
            if since >= triggers.notices().newest() {
                continue;
            }
            let candidate = self
                .profile(segment)
                .and_then(|profile| triggers.candidate(segment, since, profile, &self.state.rules));
            match candidate {
                Some(candidate) => found.candidates.push(candidate),
                None => found.unconcerned.push(Arc::clone(&segment.path)),
            }
        }
        found
    }

    /// Records that no notice can concern the segments of the findings for which that is true, and
    /// returns the others.
    pub fn record_unconcerned(&mut self, found: TriggerFindings) -> Vec<TriggerCandidate> {
        let newest = self.state.triggers.notices().newest();
        for path in found.unconcerned {
            self.reviews.record_triggers(path, newest);
        }
        found.candidates
    }

    /// Returns the time at which a notice came, by category, for each segment whose deadlines
    /// depend on a notice.
    #[must_use]
    pub fn notice_times(&self) -> BTreeMap<Arc<str>, BTreeMap<Category, DateTime<Utc>>> {
        let notices = self.state.triggers.notices();
        let mut all = BTreeMap::new();
        if notices.is_empty() {
            return all;
        }
        for segment in self.segments().iter() {
            let Some(profile) = self.profile(segment) else {
                continue;
            };
            let mut times = BTreeMap::new();
            for term in &profile.terms {
                if let Some(known) = term.known
                    && let Some(recorded) = notices.recorded(term.trigger, known)
                {
                    times.insert(term.category.clone(), recorded);
                }
            }
            if !times.is_empty() {
                all.insert(Arc::clone(&segment.path), times);
            }
        }
        all
    }

    /// Returns the newest notice, if all tags reflect it and the table does not say so yet.
    ///
    /// Held or unchanged segments of an earlier policy are not covered: the commit that retags them
    /// withdraws the record.
    #[must_use]
    pub fn notice_to_record(&self, held: &SweepHolds) -> Option<ControlsVersion> {
        let newest = self.state.triggers.notices().newest();
        // Ingest tags the records after this version under the controls of this version, or later.
        let is_new = newest > self.recorded_notice && newest <= self.table.controls();
        let is_open = |segment: &StoredSegment| match self.differs(segment) {
            true => self.is_outdated(segment) && !self.is_held(segment, held),
            false => self.is_suspected(segment),
        };
        (is_new && !self.segments().iter().any(is_open)).then_some(newest)
    }
}
