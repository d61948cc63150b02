//! Signed requests to MinIO that the client of the object store has no call for.

use std::process::Command;

use ebbtide_config::{ObjectStoreConfig, Secret};
use sha2::{Digest, Sha256};

use super::minio::{KEY, Minio};

impl Minio {
    /// Makes a bucket keep the versions of its objects (`Enabled`), or not any more (`Suspended`).
    pub fn set_versioning(&self, bucket: &str, status: &str) {
        let body =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        self.request("PUT", &format!("{bucket}?versioning="), &body);
    }

    /// Returns the number of unfinished uploads of objects whose key begins with `prefix`.
    pub fn unfinished_uploads(&self, bucket: &str, prefix: &str) -> usize {
        // MinIO lists the uploads of one object, or of the whole bucket.
        self.request("GET", &format!("{bucket}?uploads="), "")
            .matches(&format!("<Key>{prefix}"))
            .count()
    }

    /// Returns the answer to a signed request for `target`, a path with its query.
    pub fn request(&self, method: &str, target: &str, body: &str) -> String {
        let url = format!("http://127.0.0.1:{}/{target}", self.port());
        signed("s3", &["-X", method, "--data-binary", body, &url], body)
    }

    /// Returns the settings of a key that may do everything but delete objects whose path, with its
    /// bucket, matches `pattern`.
    pub fn settings_without_deletes(&self, pattern: &str) -> ObjectStoreConfig {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}},
            {{"Effect":"Deny","Action":["s3:DeleteObject","s3:AbortMultipartUpload"],"Resource":["arn:aws:s3:::{pattern}"]}}]}}"#
        );
        let url = format!("http://127.0.0.1:{}/", self.port());
        let policy: String = url::form_urlencoded::byte_serialize(policy.as_bytes()).collect();
        let body =
            format!("Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600&Policy={policy}");
        let form = "Content-Type: application/x-www-form-urlencoded";
        let arguments = ["-X", "POST", "-H", form, "--data-binary", &body, &url];
        let answer = signed("sts", &arguments, &body);
        let within = |tag: &str| {
            let (_, rest) = answer
                .split_once(&format!("<{tag}>"))
                .unwrap_or_else(|| panic!("{answer}"));
            Secret::new(rest.split_once('<').unwrap().0)
        };
        let mut settings = self.settings();
        (settings.access_key_id, settings.secret_access_key) =
            (Some(within("AccessKeyId")), Some(within("SecretAccessKey")));
        settings
            .variables
            .insert("AWS_SESSION_TOKEN".to_owned(), within("SessionToken"));
        settings
    }
}

/// Runs `curl` with a signature for `service` of a request with `body`. Returns the answer.
fn signed(service: &str, arguments: &[&str], body: &str) -> String {
    let hash: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let asked = Command::new("curl")
        .args(["-sS", "--fail-with-body", "--aws-sigv4"])
        .arg(format!("aws:amz:us-east-1:{service}"))
        .args(["--user", &format!("{KEY}:{KEY}"), "-H"])
        .arg(format!("x-amz-content-sha256: {hash}"))
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(asked.stdout).unwrap();
    assert!(
        asked.status.success(),
        "{arguments:?}: {text}{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    text
}
