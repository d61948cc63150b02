//! A place in an object store, and the settings that a program needs to reach it.

/// One place, for one test.
pub struct BucketSettings {
    /// The place as a URL.
    pub place: String,
    /// The section `store` of a configuration that uses it.
    pub section: String,
    /// The variables that the program needs in addition.
    pub environment: Vec<(&'static str, String)>,
    /// The variables that other engines need.
    pub readers: Vec<(&'static str, String)>,
    /// The secret, which must never be shown.
    pub secret: &'static str,
}
