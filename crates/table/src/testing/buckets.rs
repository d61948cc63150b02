//! Roots in buckets of the test kit's object store, for the tests of this crate.

use std::time::Duration;

use ebbtide_config::ObjectStoreConfig;
use ebbtide_testkit::fault_proxy::FaultProxy;
use ebbtide_testkit::minio::{place_in, settings_at, shared};

use crate::Root;

/// Returns settings that give up after few seconds.
fn impatient(settings: ObjectStoreConfig) -> ObjectStoreConfig {
    ObjectStoreConfig {
        timeout: Duration::from_secs(5),
        retry_for: Duration::from_secs(5),
        ..settings
    }
}

fn open_at(place: &str, port: u16) -> Root {
    Root::open(place, &impatient(settings_at(port))).unwrap()
}

/// Returns a root in a bucket, under a prefix that no other test has.
pub fn bucket_root() -> Root {
    open_at(&place_in("plain"), shared().port())
}

/// Creates a root in a new folder and one in a bucket, each with the guard of its folder.
pub fn roots() -> [(tempfile::TempDir, Root); 2] {
    [super::root(), (tempfile::tempdir().unwrap(), bucket_root())]
}

/// Returns the text from which another process can open a root of this one.
pub fn shared_text(root: &Root) -> String {
    if root.local().is_some() {
        root.to_string()
    } else {
        format!("{}|{root}", shared().port())
    }
}

/// Opens the root described by the test that started this process.
pub fn open_shared(text: &str) -> Root {
    match text.split_once('|') {
        Some((port, root)) => open_at(root, port.parse().unwrap()),
        None => Root::parse(text).unwrap(),
    }
}

/// Returns the same root with the types of the library, which the crates above take.
pub fn from_above(root: &Root) -> ebbtide_table::Root {
    if root.local().is_some() {
        return ebbtide_table::Root::parse(&root.to_string()).unwrap();
    }
    let settings = impatient(settings_at(shared().port()));
    ebbtide_table::Root::open(&root.to_string(), &settings).unwrap()
}

/// Returns a proxy of the store.
pub fn fault_proxy() -> FaultProxy {
    FaultProxy::new(shared().port())
}

/// Returns the same root through a proxy.
pub fn through(root: &Root, proxy: &FaultProxy) -> Root {
    open_at(&root.to_string(), proxy.port())
}

/// Returns a root in a separate bucket that keeps versions.
pub fn versioned() -> Root {
    shared().set_versioning("versioned", "Enabled");
    open_at(&place_in("versioned"), shared().port())
}

/// Returns a root in a separate bucket that kept versions before, and has an old version of a
/// deleted object.
pub fn suspended() -> Root {
    let root = open_at(&place_in("suspended"), shared().port());
    let object = format!("{}/old", root.to_string().replace("s3://", ""));
    shared().set_versioning("suspended", "Enabled");
    shared().request("PUT", &object, "what is gone");
    shared().request("DELETE", &object, "");
    shared().set_versioning("suspended", "Suspended");
    root
}

/// Returns the number of unfinished uploads below a root in the plain bucket.
pub fn unfinished(root: &Root) -> usize {
    let prefix = root.to_string().replace("s3://plain/", "");
    shared().unfinished_uploads("plain", &format!("{prefix}/"))
}

/// Returns the same root for a key that may do everything but delete objects below `folder`.
pub fn without_deletes(root: &Root, folder: &str) -> Root {
    let below = root.to_string().replace("s3://", "");
    let settings = shared().settings_without_deletes(&format!("{below}/{folder}"));
    Root::open(&root.to_string(), &impatient(settings)).unwrap()
}
