//! A place in an object store, and what a program must be told to reach it.

/// One place, for one test.
pub struct Bucket {
    /// The place as a URL.
    pub place: String,
    /// The section `store` of a configuration that uses it.
    pub section: String,
    /// The variables that the program needs beside it.
    pub environment: Vec<(&'static str, String)>,
    /// The variables that other engines need.
    pub readers: Vec<(&'static str, String)>,
    /// What is never to be told.
    pub secret: &'static str,
}
