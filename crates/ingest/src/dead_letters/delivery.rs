//! One delivery of dead letters: each letter is sent in the best form that its topic accepts.
//!
//! The brokers accept or refuse whole batches, and the client chooses the batches. Letters that are
//! refused together are therefore sent again in smaller groups, and only a letter that is refused
//! alone is sent in its next form.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::future::join_all;
use rdkafka::error::KafkaError;
use rdkafka::util::Timeout;

use super::delivered::Claim;
use super::delivery_failure::{DeliveryFailure, help, refusal};
use super::letter::{DeadLetter, LetterForm};
use super::quarantine::{self, NOTICES};
use super::{DeadLetters, SENDERS};
use ebbtide_base::ids::{ProductKey, TopicPartition};

/// The outcome of one delivery.
#[derive(Debug, Default)]
pub struct DeliveryOutcome {
    /// The letters that are neither acknowledged nor in the quarantine. They are sent again.
    pub undelivered: Vec<DeadLetter>,
    /// The reason why they wait.
    pub waiting: Option<UndeliveredLetters>,
}

/// The reason why dead letters are not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UndeliveredLetters(pub String);

/// A group of letters that are sent together, in one form.
type LetterGroup = (LetterForm, Vec<DeadLetter>);

/// Delivers `letters` of `product`, or of a notice topic if `product` is `None`, in their order.
///
/// Returns once each letter is acknowledged by the brokers, is in the quarantine, or has to wait.
/// While the brokers are away it does not return: the client retries what it cannot send, without
/// making a second copy.
pub async fn deliver(
    to: Arc<DeadLetters>,
    product: Option<ProductKey>,
    letters: Vec<DeadLetter>,
) -> DeliveryOutcome {
    let mut done = DeliveryOutcome::default();
    let mut claims = Claims {
        of: Arc::clone(&to),
        places: Vec::new(),
    };
    let mut forms: BTreeMap<LetterForm, Vec<DeadLetter>> = BTreeMap::new();
    for letter in letters {
        match claims.claim(&letter) {
            Claim::Delivered => {}
            Claim::Granted => forms.entry(letter.form).or_default().push(letter),
            Claim::InFlight => {
                done.waiting = Some(UndeliveredLetters(format!(
                    "topic {} has not acknowledged them yet",
                    to.topic
                )));
                done.undelivered.push(letter);
            }
        }
    }
    let mut quarantined = forms.remove(&LetterForm::Quarantined).unwrap_or_default();
    let mut groups: VecDeque<LetterGroup> = forms.into_iter().collect();
    while let Some((form, group)) = groups.pop_front() {
        let sent = to.send(&group).await;
        let size = group.len();
        let mut refused = Vec::new();
        for (mut letter, sent) in group.into_iter().zip(sent) {
            let Err(error) = sent else {
                to.count(product.as_ref(), form);
                claims.delivered(&letter);
                continue;
            };
            let code = error.rdkafka_error_code();
            let class = refusal(code);
            if class == DeliveryFailure::Message {
                letter.refused = Some(error.to_string());
                refused.push(letter);
            } else {
                if class != DeliveryFailure::Passing {
                    to.renew();
                }
                let why = format!(
                    "topic {} does not take dead letters: {error}; {}",
                    to.topic,
                    help(code)
                );
                done.waiting = Some(UndeliveredLetters(why));
                done.undelivered.push(letter);
            }
        }
        for (form, again) in smaller(form, size, refused).into_iter().rev() {
            if form == LetterForm::Quarantined {
                quarantined.extend(again)
            } else {
                groups.push_front((form, again))
            }
        }
        if !done.undelivered.is_empty() {
            // The remaining groups would fail in the same way.
            done.undelivered
                .extend(groups.drain(..).flat_map(|(_, group)| group));
        }
    }
    match keep(&to, product.as_ref(), &quarantined).await {
        Ok(()) => quarantined
            .iter()
            .for_each(|letter| claims.delivered(letter)),
        Err(wait) => {
            done.waiting = Some(wait);
            done.undelivered.extend(quarantined);
        }
    }
    done.undelivered
        .sort_by(|a, b| (&a.source, a.offset).cmp(&(&b.source, b.offset)));
    done
}

/// Writes letters that the topic accepts in no form to the quarantine.
async fn keep(
    to: &DeadLetters,
    product: Option<&ProductKey>,
    letters: &[DeadLetter],
) -> Result<(), UndeliveredLetters> {
    let written =
        quarantine::write(&to.quarantine, &to.terms, product, letters, to.clock.now()).await;
    written.map_err(|error| {
        UndeliveredLetters(format!(
            "topic {} refuses dead letters, and the quarantine cannot be written: {error}",
            to.topic
        ))
    })?;
    for letter in letters {
        tracing::error!(
            source.partition = %letter.source,
            source.offset = letter.offset,
            code = letter.fault.code(),
            refused = letter.refused,
            "dead letter quarantined: its topic takes it in no form"
        );
        to.count(product, LetterForm::Quarantined);
    }
    Ok(())
}

/// Returns the groups in which refused letters of a group of `size` are sent again: smaller groups,
/// or one letter in its next form.
fn smaller(form: LetterForm, size: usize, mut refused: Vec<DeadLetter>) -> Vec<LetterGroup> {
    if refused.is_empty() {
        return Vec::new();
    }
    if size == 1 {
        refused
            .iter_mut()
            .for_each(|letter| letter.form = form.next());
        return vec![(form.next(), refused)];
    }
    if refused.len() < size {
        return vec![(form, refused)];
    }
    let second = refused.split_off(size.div_ceil(2));
    vec![(form, refused), (form, second)]
}

impl DeadLetters {
    /// Sends a group of letters of one form. Returns the outcome of each. A letter that is sent
    /// alone shares its batch with no other letter.
    async fn send(&self, group: &[DeadLetter]) -> Vec<Result<(), KafkaError>> {
        let permits = if group.len() == 1 { SENDERS } else { 1 };
        // The semaphore is never closed, so this always gets a permit.
        let _permit = self.sending.acquire_many(permits).await;
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(error) => return group.iter().map(|_| Err(error.clone())).collect(),
        };
        let places: Vec<String> = group.iter().map(DeadLetter::place).collect();
        let sends = group.iter().zip(&places).map(|(letter, place)| {
            let message = letter.message(self.topic.as_str(), place);
            producer.send(message, Timeout::Never)
        });
        join_all(sends)
            .await
            .into_iter()
            .map(|sent| sent.map(|_| ()).map_err(|(error, _)| error))
            .collect()
    }

    fn count(&self, product: Option<&ProductKey>, form: LetterForm) {
        let labels = [product.map_or(NOTICES, ProductKey::as_str)];
        match form {
            LetterForm::Whole => {}
            LetterForm::HeaderOnly => self
                .metrics
                .reduced_letters
                .with_label_values(&labels)
                .inc(),
            LetterForm::Quarantined => self
                .metrics
                .quarantined_letters
                .with_label_values(&labels)
                .inc(),
        }
    }
}

/// The letters that one delivery has claimed. Those that it has not delivered are released at its
/// end, however it ends.
struct Claims {
    of: Arc<DeadLetters>,
    places: Vec<(TopicPartition, i64)>,
}

impl Claims {
    fn claim(&mut self, letter: &DeadLetter) -> Claim {
        let claim = self
            .of
            .delivered()
            .claim(&letter.source, letter.offset, letter.timestamp);
        if claim == Claim::Granted {
            self.places.push((letter.source.clone(), letter.offset));
        }
        claim
    }

    fn delivered(&self, letter: &DeadLetter) {
        self.of.delivered().deliver(&letter.source, letter.offset);
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut delivered = self.of.delivered();
        for (source, offset) in &self.places {
            delivered.release(source, *offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::testing::letter;
    use super::*;

    fn letters(count: i64) -> Vec<DeadLetter> {
        (0..count).map(|offset| letter(offset, b"value")).collect()
    }

    fn sizes(groups: &[LetterGroup]) -> Vec<(LetterForm, usize)> {
        groups
            .iter()
            .map(|(form, letters)| (*form, letters.len()))
            .collect()
    }

    #[test]
    fn only_a_letter_that_is_refused_alone_changes_its_form() {
        use LetterForm::{HeaderOnly, Quarantined, Whole};
        for (form, size, refused, expected) in [
            (Whole, 5, 0, vec![]),
            (Whole, 5, 5, vec![(Whole, 3), (Whole, 2)]),
            (Whole, 2, 2, vec![(Whole, 1), (Whole, 1)]),
            (Whole, 5, 2, vec![(Whole, 2)]),
            (Whole, 1, 1, vec![(HeaderOnly, 1)]),
            (HeaderOnly, 3, 3, vec![(HeaderOnly, 2), (HeaderOnly, 1)]),
            (HeaderOnly, 1, 1, vec![(Quarantined, 1)]),
        ] {
            let groups = smaller(form, size, letters(refused));
            assert_eq!(sizes(&groups), expected, "{form:?} {size} {refused}");
            assert!(groups.iter().all(
                |(form, letters)| size > 1 || letters.iter().all(|letter| letter.form == *form)
            ));
        }
    }

    #[test]
    fn every_letter_ends_within_bounds_when_all_are_refused() {
        let mut groups: Vec<LetterGroup> = vec![(LetterForm::Whole, letters(100))];
        let (mut quarantined, mut sends) = (0, 0);
        while let Some((form, group)) = groups.pop() {
            if form == LetterForm::Quarantined {
                quarantined += group.len();
                continue;
            }
            sends += 1;
            let size = group.len();
            groups.extend(smaller(form, size, group));
        }
        assert_eq!(quarantined, 100);
        assert!(sends <= 300, "{sends}");
    }
}
