//! Data that no listing of objects shows, in stores that speak S3: multipart uploads that a killed
//! writer never completed, and old versions.
//!
//! No upload is aborted that is younger than any writer in flight. The client has no call to list
//! either, so the request is built here and signed with the client's credentials.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Error, Result};
use url::Url;

use crate::deletions::Deletions;

/// The maximum number of items that one answer lists. The rest is listed by a later pass, once
/// these are deleted.
const MOST: usize = 1000;

/// A list that a bucket can be asked for.
struct BucketList {
    /// The query parameter that names it.
    name: &'static str,
    /// The query parameter that limits the number of its items.
    limit: &'static str,
}

const UPLOADS: BucketList = BucketList {
    name: "uploads",
    limit: "max-uploads",
};

const VERSIONS: BucketList = BucketList {
    name: "versions",
    limit: "max-keys",
};

/// Lists and aborts unfinished uploads.
#[derive(Clone)]
pub struct UnfinishedUploads {
    pub(super) store: Arc<AmazonS3>,
    pub(super) region: String,
    pub(super) client: HttpClient,
}

/// One unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unfinished {
    path: String,
    id: String,
    begun: DateTime<Utc>,
}

impl fmt::Debug for UnfinishedUploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnfinishedUploads")
    }
}

impl UnfinishedUploads {
    /// Aborts the uploads below `folder` that were begun before `old`, those of one listing page at
    /// a time. An upload that cannot be aborted is reported, and the others are aborted.
    pub async fn give_up(&self, folder: &Path, old: DateTime<Utc>) -> Result<Deletions> {
        let mut found = self.list(folder).await?;
        // MinIO lists the uploads of one object or of the whole bucket: list the whole bucket too,
        // up to one answer.
        found.extend(self.list(&Path::default()).await?);
        let ours = |upload: &Unfinished| {
            Path::parse(&upload.path).is_ok_and(|path| path.prefix_matches(folder))
        };
        found.retain(|upload| upload.begun < old && ours(upload));
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.dedup();
        let mut done = Deletions::default();
        for upload in found {
            let outcome = self
                .store
                .abort_multipart(&Path::parse(&upload.path)?, &upload.id)
                .await;
            done.record(format!("{}?uploadId={}", upload.path, upload.id), outcome);
        }
        Ok(done)
    }

    async fn list(&self, folder: &Path) -> Result<Vec<Unfinished>> {
        Ok(parse(&self.ask(&UPLOADS, folder).await?))
    }

    /// Returns true if an object below `folder` has an old version, as far as one answer lists.
    pub async fn old_versions(&self, folder: &Path) -> Result<bool> {
        let answer = self.ask(&VERSIONS, folder).await?;
        // A delete marker does not count: it has a name and no content.
        let mut versions = answer
            .split("<Version>")
            .skip(1)
            .filter_map(|version| version.split("</Version>").next());
        Ok(versions.any(|version| version.contains("<IsLatest>false</IsLatest>")))
    }

    /// Sends the bucket a request that the client has no call for, and returns the answer.
    async fn ask(&self, list: &BucketList, folder: &Path) -> Result<String> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        let object = Path::from("x");
        let url = self
            .store
            .signed_url(request.method().clone(), &object, Duration::from_secs(60))
            .await?;
        let url = of_bucket(url, &object).ok_or_else(|| failed("its URL is not valid"))?;
        let url = asking(url, list, folder);
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| failed("its URL is not valid"))?;
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| failed(&error.to_string()))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .bytes()
            .await
            .map_err(|error| failed(&error.to_string()))?;
        if !status.is_success() {
            return Err(failed(&format!(
                "asked for {} the bucket answers {status}",
                list.name
            )));
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// Returns the URL of a bucket from that of an object.
fn of_bucket(mut url: Url, object: &Path) -> Option<Url> {
    url.set_query(None);
    let bucket = url
        .path()
        .strip_suffix(object.as_ref())?
        .trim_end_matches('/')
        .to_owned();
    url.set_path(&bucket);
    Some(url)
}

/// Returns a bucket's URL with a query about the objects below a folder.
fn asking(mut url: Url, list: &BucketList, folder: &Path) -> Url {
    let prefix = if folder.as_ref().is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    url.query_pairs_mut()
        .append_pair(list.limit, &MOST.to_string())
        .append_pair("prefix", &prefix)
        .append_pair(list.name, "");
    url
}

/// Parses the uploads that an answer lists. Ignores an upload without a time or in an unknown form.
fn parse(answer: &str) -> Vec<Unfinished> {
    let within = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(unescaped(rest.split_once(&format!("</{tag}>"))?.0))
    };
    let uploads = answer.split("<Upload>").skip(1).filter_map(|upload| {
        let begun = DateTime::parse_from_rfc3339(&within(upload, "Initiated")?)
            .ok()?
            .with_timezone(&Utc);
        Some(Unfinished {
            path: within(upload, "Key")?,
            id: within(upload, "UploadId")?,
            begun,
        })
    });
    uploads.collect()
}

fn unescaped(text: &str) -> String {
    let plain = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'");
    plain.replace("&amp;", "&")
}

fn failed(why: &str) -> Error {
    Error::Generic {
        store: "S3",
        source: why.to_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_uploads_without_a_time_are_left_alone() {
        let answer = "<ListMultipartUploadsResult><Prefix>eu/</Prefix>\
            <Upload><Key>eu/tables/a&amp;b.parquet</Key><UploadId>id-1</UploadId><Initiated>2026-09-21T12:00:00.000Z</Initiated></Upload>\
            <Upload><Key>eu/tables/c.parquet</Key><UploadId>id-2</UploadId></Upload></ListMultipartUploadsResult>";
        let begun = DateTime::parse_from_rfc3339("2026-09-21T12:00:00Z")
            .unwrap()
            .with_timezone(&Utc);
        let (path, id) = ("eu/tables/a&b.parquet".to_owned(), "id-1".to_owned());
        assert_eq!(parse(answer), vec![Unfinished { path, id, begun }]);
    }

    #[test]
    fn the_bucket_is_asked_in_both_styles_of_its_url() {
        let of = |url: &str| {
            let bucket = of_bucket(url.parse().unwrap(), &Path::from("x")).unwrap();
            asking(bucket, &UPLOADS, &Path::from("eu/west"))
        };
        let asked = "max-uploads=1000&prefix=eu%2Fwest%2F&uploads=";
        assert_eq!(
            of("http://minio:9000/traffic/x?X-Amz-Date=1").as_str(),
            format!("http://minio:9000/traffic?{asked}")
        );
        assert_eq!(
            of("https://traffic.s3.amazonaws.com/x").as_str(),
            format!("https://traffic.s3.amazonaws.com/?{asked}")
        );
    }
}
