//! The second part of the demo: two years pass in seconds, a hold is placed on a number and
//! released, and at the end a search checks that no planted value is left. The result of each check
//! is reported.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::DemoError;
use super::months::MonthsSimulation;
use super::months_snapshot::{MonthsSnapshot, MonthsTimes, day, describe_sweep};
use super::screen::Screen;
use super::stored_data::StoredData;
use super::text::count;
use super::traffic::PlantedPeople;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::Metrics;
use ebbtide_controls::HoldId;
use ebbtide_policy::Policy;
use ebbtide_query::residue::{ResidueOutcome, ResidueReport, SearchValues, search};
use ebbtide_table::Root;

/// The number of months that pass: one more than the longest time that the shipped policy keeps
/// traffic records.
const MONTHS: u32 = 25;
/// The number of months until the hold is placed: before any data of the planted people is due.
const HOLD_AFTER: u32 = 1;
/// The number of months until the hold is released: all other records of its day are deleted by
/// then.
const RELEASE_AFTER: u32 = 9;
/// The interval at which time advances.
const BEAT: Duration = Duration::from_millis(100);

/// The input of the second part.
pub struct MonthsInput {
    /// The root of the tables.
    pub root: Root,
    /// The policy in use.
    pub policy: Arc<Policy>,
    /// The clock of the viewer.
    pub clock: SharedClock,
    /// The metrics in which the work is counted.
    pub metrics: Metrics,
    /// The duration of the months, if the work does not take longer.
    pub length: Duration,
    /// Values that are in the tables and must be deleted at the end.
    pub planted: Vec<String>,
}

/// The result of the second part.
#[derive(Debug)]
pub struct MonthsReport {
    /// The demo time at which the months ended.
    pub end: DateTime<Utc>,
    /// The number of planted values.
    pub values: usize,
    /// The number of planted values that a search found before the months.
    pub found_before: usize,
    /// The result of the same search after the months.
    pub residue: ResidueReport,
    /// Records of the held number: when the hold was placed, when the records of all others were
    /// deleted, and after the release.
    pub held: [u64; 3],
    /// The number of sweep tasks that failed.
    pub failed: u64,
    /// The number of fields that are overdue at the end.
    pub overdue: u64,
    /// The data that is left because it is not due yet.
    pub left: StoredData,
}

impl MonthsReport {
    /// Returns a message for each check that failed.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.found_before != self.values {
            broken.push(format!(
                "of {} planted values the search found {} while all were there",
                self.values, self.found_before
            ));
        }
        if self.residue.verdict() != ResidueOutcome::Clean {
            broken.push(format!(
                "{} planted values are found after they should be deleted",
                self.residue.found()
            ));
        }
        let [placed, kept, released] = self.held;
        if placed == 0 || kept != placed {
            broken.push(format!("of {placed} held records {kept} were kept"));
        }
        if released != 0 {
            broken.push(format!(
                "{released} records stayed after their hold was released"
            ));
        }
        if self.failed > 0 {
            broken.push(format!("{} pieces of work failed", self.failed));
        }
        if self.overdue > 0 {
            broken.push(format!("{} fields are overdue", self.overdue));
        }
        broken
    }
}

/// Lets the months pass. Returns `None` if the user ends the demo before they are over.
pub async fn pass(
    scene: MonthsInput,
    screen: &mut dyn Screen,
    ended: impl Fn() -> bool,
) -> Result<Option<MonthsReport>, DemoError> {
    let values =
        Arc::new(SearchValues::of_texts(&scene.planted, false).map_err(|_| DemoError::Bug)?);
    let found_before = residue(&scene.root, &values).await?.found();
    let months = MonthsSimulation::open(
        &scene.root,
        &scene.policy,
        scene.clock.now(),
        scene.metrics.clone(),
    )
    .await?;
    let start = months.now();
    let after = |months| {
        start
            .checked_add_months(chrono::Months::new(months))
            .ok_or(DemoError::Bug)
    };
    let mut passing = MonthsRun {
        from: months.left(),
        last: None,
        events: Vec::new(),
        failed: 0,
        start,
        end: after(MONTHS)?,
        began: scene.clock.monotonic(),
        months,
        scene: &scene,
        screen,
        ended: &ended,
    };
    let number = PlantedPeople::busiest();
    passing.tell(format!(
        "{}  no more records arrive; from here {MONTHS} months pass, and the sweep does what is due",
        day(start)
    ))?;
    passing.tell(format!(
        "{}  {} planted values (numbers, texts, ids): a search of every byte finds {found_before}",
        day(start),
        values.len()
    ))?;
    let Some((hold, placed)) = passing.until_held(after(HOLD_AFTER)?, &number).await? else {
        return Ok(None);
    };
    let Some((kept, released)) = passing
        .until_released(after(RELEASE_AFTER)?, &hold, &number)
        .await?
    else {
        return Ok(None);
    };
    if !passing.until(passing.end).await? {
        return Ok(None);
    }
    passing.months.work().await?;
    let moment = passing.moment();
    passing.screen.pass(&moment).map_err(DemoError::Screen)?;
    let residue = residue(&scene.root, &values).await?;
    passing.tell(format!(
        "{}  the same search of every byte finds {}",
        day(passing.months.now()),
        residue.found()
    ))?;
    Ok(Some(MonthsReport {
        end: passing.months.now(),
        values: values.len(),
        found_before,
        residue,
        held: [placed, kept, released],
        failed: passing.failed,
        overdue: moment.overdue,
        left: passing.months.left(),
    }))
}

/// Searches every byte under the root, on a blocking thread.
async fn residue(root: &Root, values: &Arc<SearchValues>) -> Result<ResidueReport, DemoError> {
    let (root, values) = (root.clone(), Arc::clone(values));
    let found = tokio::task::spawn_blocking(move || search(&root, &values, &|_| {})).await;
    Ok(found.map_err(|_| DemoError::Bug)??)
}

/// The state while the months pass.
struct MonthsRun<'s> {
    months: MonthsSimulation,
    scene: &'s MonthsInput,
    screen: &'s mut dyn Screen,
    ended: &'s dyn Fn() -> bool,
    from: StoredData,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// The time at which the months began, by the clock of the viewer.
    began: Duration,
    /// The time at which a moment was last shown, by the clock of the viewer.
    last: Option<Duration>,
    events: Vec<String>,
    failed: u64,
}

impl MonthsRun<'_> {
    /// Advances to the day of the hold and places it. Returns the hold and the number of records
    /// that it covers; `None` if the user ends the demo.
    async fn until_held(
        &mut self,
        at: DateTime<Utc>,
        number: &str,
    ) -> Result<Option<(HoldId, u64)>, DemoError> {
        if !self.until(at).await? {
            return Ok(None);
        }
        let records = self
            .months
            .records_with(&sms()?, "recipient", number)
            .await?;
        let hold = self.months.hold(number).await?;
        self.tell(format!(
            "{}  {hold} keeps all of one number, whatever is due: {} records of sms",
            day(self.months.now()),
            count(records)
        ))?;
        Ok(Some((hold, records)))
    }

    /// Advances to the day of the release and releases the hold. Returns the number of records that
    /// the hold kept until then, and the number that is left after the sweep; `None` if the user
    /// ends the demo.
    async fn until_released(
        &mut self,
        at: DateTime<Utc>,
        hold: &HoldId,
        number: &str,
    ) -> Result<Option<(u64, u64)>, DemoError> {
        if !self.until(at).await? {
            return Ok(None);
        }
        let kept = self
            .months
            .records_with(&sms()?, "recipient", number)
            .await?;
        let today = day(self.months.now());
        self.tell(format!(
            "{today}  {} records of the held number are there still, whole",
            count(kept)
        ))?;
        self.months.release(hold).await?;
        let overdue = self.moment().overdue;
        self.tell(format!(
            "{today}  {hold} is released: {} fields are overdue immediately",
            count(overdue)
        ))?;
        let round = self.months.work().await?;
        self.record_round(&round, 1)?;
        let left = self
            .months
            .records_with(&sms()?, "recipient", number)
            .await?;
        self.tell(format!(
            "{today}  {} records of the number are left",
            count(left)
        ))?;
        Ok(Some((kept, left)))
    }

    /// Advances to `until` at the planned speed. Returns false if the user ends the demo.
    async fn until(&mut self, until: DateTime<Utc>) -> Result<bool, DemoError> {
        let mut beat = tokio::time::interval(BEAT);
        while self.months.now() < until {
            beat.tick().await;
            let target = self.target().min(until);
            while self.months.now() < target {
                let round = self.months.go_on(target).await?;
                self.record_round(&round, self.from.records())?;
                if self.show()? {
                    return Ok(false);
                }
            }
        }
        Ok(!self.show()?)
    }

    /// Returns the demo time that should be reached by now.
    fn target(&self) -> DateTime<Utc> {
        let elapsed = self
            .scene
            .clock
            .monotonic()
            .saturating_sub(self.began)
            .as_secs_f64();
        let part = (elapsed / self.scene.length.as_secs_f64().max(0.001)).min(1.0);
        let whole = (self.end - self.start).num_milliseconds() as f64;
        self.start + chrono::TimeDelta::milliseconds((whole * part) as i64)
    }

    fn record_round(
        &mut self,
        round: &ebbtide_maintenance::SweepReport,
        of: u64,
    ) -> Result<(), DemoError> {
        self.failed += round.failed;
        match describe_sweep(round, of, self.months.now()) {
            Some(event) => self.tell(event),
            None => Ok(()),
        }
    }

    fn tell(&mut self, event: String) -> Result<(), DemoError> {
        self.screen.tell(&event).map_err(DemoError::Screen)?;
        self.events.push(event);
        Ok(())
    }

    fn moment(&self) -> MonthsSnapshot {
        let times = MonthsTimes {
            start: self.start,
            now: self.months.now(),
            end: self.end,
        };
        MonthsSnapshot::new(
            &self.from,
            &self.months.left(),
            &self.scene.metrics,
            times,
            self.events.clone(),
        )
    }

    /// Shows a moment if the last one was long enough ago. Returns true if the user ends the demo.
    fn show(&mut self) -> Result<bool, DemoError> {
        let now = self.scene.clock.monotonic();
        if self
            .last
            .is_some_and(|last| now.saturating_sub(last) < self.screen.every())
        {
            return Ok((self.ended)());
        }
        self.last = Some(now);
        let ended = self
            .screen
            .pass(&self.moment())
            .map_err(DemoError::Screen)?;
        Ok(ended || (self.ended)())
    }
}

fn sms() -> Result<ProductKey, DemoError> {
    ProductKey::new("sms").map_err(|_| DemoError::Bug)
}
