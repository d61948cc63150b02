//! Creates and registers one metric at a time, and remembers its declaration.
//!
//! The declared metrics are exactly the registered metrics.

use std::fmt;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Error, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Declares the metrics: makes the struct of their handles, and the function that registers them.
macro_rules! metrics {
    ($(
        $(#[$doc:meta])*
        $kind:ident $field:ident: $name:literal $(, [$($label:ident $(in $values:expr)?),*])?
            $(, &$buckets:ident)?, $help:literal;
    )*) => {
        /// Every metric. Cheap to clone: clones share the same series.
        #[derive(Debug, Clone)]
        pub struct Metrics {
            /// The registry of all metrics.
            pub registry: Registry,
            $($(#[$doc])* pub $field: metrics!(@handle $kind),)*
            pub(super) declared: Arc<[MetricDeclaration]>,
            pub(super) starting: Arc<[StartingSeries]>,
        }

        impl Metrics {
            /// Declares and registers all metrics, without series.
            pub(super) fn register() -> Result<Self, MetricsError> {
                let mut to = MetricRegistrar::default();
                Ok(Self {
                    $($field: to.$kind(
                        $name,
                        $help
                        $(, &[$(metrics!(@label $label $(in $values)?)),*])?
                        $(, &$buckets)?
                    )?,)*
                    registry: to.registry,
                    declared: to.declared.into(),
                    starting: to.starting.into(),
                })
            }
        }
    };
    (@handle counters) => { prometheus::IntCounterVec };
    (@handle gauges) => { prometheus::IntGaugeVec };
    (@handle zero_gauges) => { prometheus::IntGaugeVec };
    (@handle gauge) => { prometheus::IntGauge };
    (@handle histograms) => { prometheus::HistogramVec };
    (@label $label:ident) => { MetricLabel::new(stringify!($label), []) };
    (@label $label:ident in $values:expr) => { MetricLabel::new(stringify!($label), $values) };
}

pub(super) use metrics;

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

/// A label, and its values if they are known in advance.
#[derive(Debug, Clone)]
pub(super) struct MetricLabel {
    name: &'static str,
    values: Vec<&'static str>,
}

impl MetricLabel {
    pub fn new(name: &'static str, values: impl IntoIterator<Item = &'static str>) -> Self {
        let values = values.into_iter().collect();
        Self { name, values }
    }
}

/// The values of the labels of a product.
#[derive(Debug, Default)]
pub(super) struct ProductLabels<'p> {
    pub product: Option<&'p str>,
    pub categories: Vec<&'p str>,
}

/// A metric whose series exist before the first event.
#[derive(Debug)]
pub(super) struct StartingSeries {
    metric: Box<dyn LabelledMetric>,
    labels: Vec<MetricLabel>,
}

impl StartingSeries {
    /// Creates the series for all combinations of the values that are known in advance and those
    /// of `known`, at zero.
    pub fn create(&self, known: &ProductLabels<'_>) {
        let mut rows: Vec<Vec<&str>> = vec![Vec::new()];
        for label in &self.labels {
            let values = match label.name {
                "product" => known.product.as_slice(),
                "category" => &known.categories,
                _ => &label.values,
            };
            let mut longer = Vec::new();
            for row in &rows {
                longer.extend(
                    values
                        .iter()
                        .map(|value| [row.as_slice(), &[*value]].concat()),
                );
            }
            rows = longer;
        }
        for row in rows {
            self.metric.create(&row);
        }
    }
}

/// A metric with labels, of any kind.
trait LabelledMetric: fmt::Debug + Send + Sync {
    /// Creates a series if it does not exist.
    fn create(&self, values: &[&str]);
}

impl<T: MetricVecBuilder> LabelledMetric for MetricVec<T> {
    fn create(&self, values: &[&str]) {
        self.with_label_values(values);
    }
}

/// The metrics declared so far.
#[derive(Debug, Default)]
pub(super) struct MetricRegistrar {
    pub registry: Registry,
    pub declared: Vec<MetricDeclaration>,
    pub starting: Vec<StartingSeries>,
}

impl MetricRegistrar {
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[MetricLabel],
    ) -> Result<IntCounterVec, Error> {
        let metric = IntCounterVec::new(Opts::new(name, help), &names(labels))?;
        self.start(&metric, labels);
        self.keep(metric, MetricKind::Counter)
    }

    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &[MetricLabel],
    ) -> Result<IntGaugeVec, Error> {
        let metric = IntGaugeVec::new(Opts::new(name, help), &names(labels))?;
        self.keep(metric, MetricKind::Gauge)
    }

    pub fn zero_gauges(
        &mut self,
        name: &str,
        help: &str,
        labels: &[MetricLabel],
    ) -> Result<IntGaugeVec, Error> {
        let metric = self.gauges(name, help, labels)?;
        self.start(&metric, labels);
        Ok(metric)
    }

    pub fn gauge(&mut self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.keep(IntGauge::new(name, help)?, MetricKind::Gauge)
    }

    pub fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[MetricLabel],
        to: &[f64],
    ) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::new(name, help).buckets(to.to_vec());
        let metric = HistogramVec::new(options, &names(labels))?;
        self.start(&metric, labels);
        self.keep(metric, MetricKind::Histogram)
    }

    fn start<T>(&mut self, metric: &MetricVec<T>, labels: &[MetricLabel])
    where
        T: MetricVecBuilder + 'static,
    {
        let metric: Box<dyn LabelledMetric> = Box::new(metric.clone());
        let labels = labels.to_vec();
        self.starting.push(StartingSeries { metric, labels });
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

fn names(labels: &[MetricLabel]) -> Vec<&str> {
    labels.iter().map(|label| label.name).collect()
}
