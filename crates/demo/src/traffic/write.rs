//! Writes one record by its plan. Must never allocate for each record.

use super::avro;
use super::chance::SplitMix64;
use super::people::{Person, digits, tenant};
use super::plan::{InstantOffset, PersonRole, TextContent, WriteStep};
use super::words;

/// The values that the fields of one record share.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventValues {
    /// The time of the event, in milliseconds since 1970.
    pub(super) at: i64,
    /// The rank of the tenant.
    pub(super) tenant: u32,
    pub(super) subject: Person,
    pub(super) other: Person,
}

/// Writes records to a buffer.
pub(super) struct RecordWriter<'a> {
    pub(super) event: EventValues,
    pub(super) chance: &'a mut SplitMix64,
    pub(super) to: &'a mut Vec<u8>,
    /// The end of the tenant's text in the buffer, once it is written.
    pub(super) tenant_end: Option<usize>,
}

impl RecordWriter<'_> {
    pub(super) fn write(&mut self, step: &WriteStep) {
        match step {
            WriteStep::Null => {}
            WriteStep::Boolean => self.to.push(self.chance.bits() as u8 & 1),
            WriteStep::Whole { end } => avro::long(self.chance.below(*end) as i64, self.to),
            WriteStep::Instant { when, scale } => {
                let offset = match when {
                    InstantOffset::Event => 0,
                    InstantOffset::After => self.chance.below(20_000) as i64,
                    InstantOffset::Before => -(self.chance.below(900_000) as i64),
                };
                avro::long(
                    self.event.at.saturating_add(offset).saturating_mul(*scale),
                    self.to,
                );
            }
            WriteStep::Day => avro::long(
                self.event
                    .at
                    .div_euclid(86_400_000)
                    .clamp(-1_000_000, 1_000_000),
                self.to,
            ),
            WriteStep::Float => self
                .to
                .extend_from_slice(&(1.0 + 4.0 * self.chance.unit() as f32).to_le_bytes()),
            WriteStep::Double => self
                .to
                .extend_from_slice(&(100.0 * self.chance.unit()).to_le_bytes()),
            WriteStep::Bytes => avro::bytes(&self.chance.bits().to_be_bytes(), self.to),
            WriteStep::Text(holds) => self.text(holds),
            WriteStep::Enum(table) => avro::long(
                i64::from(table[(self.chance.bits() >> 58) as usize]),
                self.to,
            ),
            WriteStep::Fixed(size) => {
                for _ in 0..*size {
                    self.to.push(self.chance.bits() as u8);
                }
            }
            WriteStep::DecimalBytes { end } => {
                avro::decimal(self.chance.below(*end) as i64, self.to)
            }
            WriteStep::DecimalFixed { end, size } => {
                let wide = i128::from(self.chance.below(*end)).to_be_bytes();
                self.to
                    .extend(std::iter::repeat_n(0, size.saturating_sub(wide.len())));
                self.to
                    .extend_from_slice(&wide[wide.len().saturating_sub(*size)..]);
            }
            WriteStep::Optional {
                null,
                some,
                per_1024,
                then,
            } => {
                if self.chance.happens(*per_1024) {
                    avro::long(*some, self.to);
                    self.write(then);
                } else {
                    avro::long(*null, self.to);
                }
            }
            WriteStep::Branch(branch, then) => {
                avro::long(*branch, self.to);
                self.write(then);
            }
            WriteStep::List(item) => self.blocks(|writer| writer.write(item)),
            WriteStep::Map(value) => self.blocks(|writer| {
                avro::bytes(writer.chance.pick(&words::PLAIN).as_bytes(), writer.to);
                writer.write(value);
            }),
            WriteStep::Record(steps) => {
                for step in steps {
                    self.write(step);
                }
            }
        }
    }

    /// Writes zero to three items and the end of the list.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self)) {
        let count = self.chance.below(4);
        if count > 0 {
            avro::long(count as i64, self.to);
            for _ in 0..count {
                item(self);
            }
        }
        avro::long(0, self.to);
    }

    fn whose(&self, whose: PersonRole) -> Person {
        match whose {
            PersonRole::Subject => self.event.subject,
            PersonRole::Other => self.event.other,
        }
    }

    fn text(&mut self, holds: &TextContent) {
        match holds {
            TextContent::Uuid => avro::uuid(self.chance.bits(), self.chance.bits(), self.to),
            TextContent::Tenant => {
                let rank = self.event.tenant;
                avro::built(self.to, |to| tenant(rank, to));
                self.tenant_end = Some(self.to.len());
            }
            TextContent::TenantOr(instead) => {
                if self.chance.happens(700) {
                    avro::bytes(instead.as_bytes(), self.to);
                    self.tenant_end = Some(self.to.len());
                } else {
                    self.text(&TextContent::Tenant);
                }
            }
            TextContent::Number(whose) => self.number(self.whose(*whose)),
            TextContent::Originator => match self.chance.below(8) {
                0..3 => avro::bytes(self.chance.pick(&words::SENDERS).as_bytes(), self.to),
                3 => avro::built(self.to, |to| {
                    digits(30_000 + u64::from(self.event.tenant), 5, to)
                }),
                _ => self.number(self.event.other),
            },
            TextContent::Email(whose) => {
                let person = self.whose(*whose);
                avro::built(self.to, |to| person.email(to));
            }
            TextContent::Name(whose) => {
                let person = self.whose(*whose);
                avro::built(self.to, |to| person.name(to));
            }
            TextContent::Country => avro::bytes(self.event.subject.country().as_bytes(), self.to),
            TextContent::ChannelId => {
                let hash = self.event.subject.hash;
                avro::built(self.to, |to| digits(hash, 16, to));
            }
            TextContent::Phrase => self.phrase(),
            TextContent::Ip => {
                // From the ranges that are reserved for documentation.
                let net = self.chance.pick(&["192.0.2.", "198.51.100.", "203.0.113."]);
                let host = (self.event.subject.hash >> 48) % 256;
                avro::built(self.to, |to| {
                    to.extend_from_slice(net.as_bytes());
                    digits(
                        host,
                        if host < 10 {
                            1
                        } else if host < 100 {
                            2
                        } else {
                            3
                        },
                        to,
                    );
                });
            }
            TextContent::OneOf(words) => avro::bytes(self.chance.pick(words).as_bytes(), self.to),
            TextContent::Coded(prefix, count) => {
                let number = self.chance.bits();
                avro::built(self.to, |to| {
                    to.extend_from_slice(prefix.as_bytes());
                    digits(number, *count, to);
                });
            }
            TextContent::Bank => {
                let hash = self.event.subject.hash;
                avro::built(self.to, |to| {
                    to.extend_from_slice(b"NL00EXAM");
                    digits(hash, 10, to);
                });
            }
            TextContent::Json => {
                let number = self.chance.bits();
                avro::built(self.to, |to| {
                    to.extend_from_slice(b"{\"order\":");
                    digits(number, 8, to);
                    to.push(b'}');
                });
            }
        }
    }

    /// Writes a number in E.164, usually with its plus.
    fn number(&mut self, of: Person) {
        let plus = self.chance.happens(900);
        avro::built(self.to, |to| {
            if plus {
                to.push(b'+');
            }
            of.number(to);
        });
    }

    fn phrase(&mut self) {
        let text = self.chance.pick(&words::TEXTS).as_bytes();
        let mut number = self.chance.bits();
        avro::long(text.len() as i64, self.to);
        let start = self.to.len();
        self.to.extend_from_slice(text);
        for slot in &mut self.to[start..] {
            if *slot == b'#' {
                *slot = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }
}
