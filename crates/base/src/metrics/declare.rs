//! Creates and registers one metric at a time, and remembers its declaration.
//!
//! The declared metrics are exactly the registered metrics.

use prometheus::core::Collector;
use prometheus::{
    Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The declaration of one metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricDeclaration {
    /// The name.
    pub name: String,
    /// The kind of metric.
    pub kind: MetricKind,
    /// The names of the labels, without `le`.
    pub labels: Vec<String>,
    /// The help text, in one sentence.
    pub help: String,
}

/// The kinds of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricKind {
    /// A value that only grows.
    Counter,
    /// A value that grows and shrinks.
    Gauge,
    /// Counts by bucket, with a sum.
    Histogram,
}

impl MetricKind {
    /// Returns the name of the kind in the documentation and in the text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// The metrics declared so far.
#[derive(Debug, Default)]
pub(super) struct MetricRegistrar {
    pub registry: Registry,
    pub declared: Vec<MetricDeclaration>,
}

impl MetricRegistrar {
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, Error> {
        self.keep(
            IntCounterVec::new(Opts::new(name, help), labels)?,
            MetricKind::Counter,
        )
    }

    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, Error> {
        self.keep(
            IntGaugeVec::new(Opts::new(name, help), labels)?,
            MetricKind::Gauge,
        )
    }

    pub fn gauge(&mut self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.keep(IntGauge::new(name, help)?, MetricKind::Gauge)
    }

    pub fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        to: &[f64],
    ) -> Result<HistogramVec, Error> {
        self.keep(
            HistogramVec::new(HistogramOpts::new(name, help).buckets(to.to_vec()), labels)?,
            MetricKind::Histogram,
        )
    }

    fn keep<C: Collector + Clone + 'static>(
        &mut self,
        metric: C,
        kind: MetricKind,
    ) -> Result<C, Error> {
        for desc in metric.desc() {
            let labels = desc.variable_labels.clone();
            self.declared.push(MetricDeclaration {
                name: desc.fq_name.clone(),
                kind,
                labels,
                help: desc.help.clone(),
            });
        }
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
