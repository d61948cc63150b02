//! Topic ids from Kafka, through librdkafka's `DescribeTopics`, which the rdkafka crate does not
//! wrap.
//!
//! All `unsafe` code of the workspace is in this file. Each block calls one C function and says why
//! the call is sound. Three rules make the calls sound: (1) the client outlives every object made
//! from it, because [`describe`] borrows it; (2) every object that C allocates is owned by one
//! [`Handle`], which frees it once; (3) pointers into an event are read only while the event's
//! handle is alive, and what they point to is copied before the handle is dropped. `make sanitize`
//! runs the tests of this crate under the address sanitizer and its leak check.

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

/// The answer for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTopic {
    /// The topic's name.
    pub topic: String,
    /// The topic's id, 128 bits; `None` if the broker is older than topic ids (Kafka 2.8). An error
    /// if the broker does not know the topic or does not let this client see it.
    pub id: Result<Option<u128>, RDKafkaErrorCode>,
    /// True if this client may read from the topic; `None` if that was not asked, or if the broker
    /// does not report it.
    pub may_read: Option<bool>,
}

/// The reason why no topic id could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// A topic's name contains a zero byte, so no broker has it.
    #[error("{0:?} is not the name of a topic")]
    Name(String),
    /// librdkafka could not make an object that the request needs.
    #[error("librdkafka could not prepare the request")]
    Prepare,
    /// No broker answered in time.
    #[error("no broker answered within {0:?}")]
    TimedOut(Duration),
    /// The request failed as a whole.
    #[error("{0}")]
    Request(RDKafkaErrorCode),
}

/// Returns one answer for each of `topics`, in any order. Blocks for approximately `timeout` at
/// most.
///
/// `client` may be a consumer or a producer, and other threads may use it meanwhile. Errors if the
/// request fails as a whole; a topic that does not exist is an answer.
pub fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<DescribedTopic>, DescribeError> {
    describe(client, topics, false, timeout)
}

/// Returns the answers of [`topic_ids`], each with this client's right to read from the topic.
///
/// The broker checks every operation of each topic for it, so this costs more than the ids alone.
pub fn topic_rights<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<DescribedTopic>, DescribeError> {
    describe(client, topics, true, timeout)
}

fn describe<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    rights: bool,
    timeout: Duration,
) -> Result<Vec<DescribedTopic>, DescribeError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let milliseconds = milliseconds(timeout);
    let names = collection(topics)?;
    let options = options(client, milliseconds)?;
    if rights {
        with_rights(&options)?;
    }
    if let Some(broker) = other_than_controller(client, topics[0], timeout) {
        // SAFETY: the options are owned by a handle that is alive; a null buffer of size 0 takes no
        // error text.
        let set = unsafe {
            c::rd_kafka_AdminOptions_set_broker(options.as_ptr(), broker, std::ptr::null_mut(), 0)
        };
        accepted(set)?;
    }
    // SAFETY: `native_ptr` is the client's own handle, which is valid while `client` is borrowed
    // (rule 1).
    let queue = Handle::new(
        unsafe { c::rd_kafka_queue_new(client.native_ptr()) },
        c::rd_kafka_queue_destroy,
    )?;
    // SAFETY: all four pointers are valid for the call: the client is borrowed and the others are
    // owned by handles that are alive. librdkafka copies the names and the options and keeps its
    // own reference to the queue.
    unsafe {
        c::rd_kafka_DescribeTopics(
            client.native_ptr(),
            names.as_ptr(),
            options.as_ptr(),
            queue.as_ptr(),
        );
    }
    // The request itself ends at `timeout`: the extra time lets its own error arrive.
    let patience = milliseconds.saturating_add(500);
    // SAFETY: the queue is owned by a handle that is alive. No other thread polls it.
    let event = unsafe { c::rd_kafka_queue_poll(queue.as_ptr(), patience) };
    let event = Handle::new(event, c::rd_kafka_event_destroy)
        .map_err(|_| DescribeError::TimedOut(timeout))?;
    // SAFETY: the event is owned by a handle that is alive.
    let failed = unsafe { c::rd_kafka_event_error(event.as_ptr()) };
    match failed {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => answers(&event),
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TIMED_OUT => Err(DescribeError::TimedOut(timeout)),
        failed => Err(DescribeError::Request(failed.into())),
    }
}

/// An object that C allocated, with the function that frees it.
struct Handle<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Handle<T> {
    /// Takes ownership of `pointer`, which must be freed by `destroy`. Errors if it is null.
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, DescribeError> {
        NonNull::new(pointer)
            .map(|pointer| Self { pointer, destroy })
            .ok_or(DescribeError::Prepare)
    }

    fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the C function that `destroy` belongs to, and only this
        // handle frees it (rule 2).
        unsafe { (self.destroy)(self.pointer.as_ptr()) }
    }
}

fn collection(topics: &[&str]) -> Result<Handle<c::rd_kafka_TopicCollection_t>, DescribeError> {
    let name =
        |topic: &&str| CString::new(*topic).map_err(|_| DescribeError::Name((*topic).to_owned()));
    let names: Vec<CString> = topics.iter().map(name).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: `pointers` holds that number of zero-terminated texts, which live until the call
    // returns; it copies them.
    let made = unsafe {
        c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len())
    };
    Handle::new(made, c::rd_kafka_TopicCollection_destroy)
}

fn options<C: ClientContext>(
    client: &Client<C>,
    milliseconds: i32,
) -> Result<Handle<c::rd_kafka_AdminOptions_t>, DescribeError> {
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: the client's handle is valid while it is borrowed (rule 1).
    let made = unsafe { c::rd_kafka_AdminOptions_new(client.native_ptr(), operation) };
    let options = Handle::new(made, c::rd_kafka_AdminOptions_destroy)?;
    // SAFETY: the options are owned by a handle that is alive; a null buffer of size 0 takes no
    // error text.
    let set = unsafe {
        c::rd_kafka_AdminOptions_set_request_timeout(
            options.as_ptr(),
            milliseconds.max(1),
            std::ptr::null_mut(),
            0,
        )
    };
    accepted(set)?;
    Ok(options)
}

/// Makes the broker report what this client may do with each topic.
fn with_rights(options: &Handle<c::rd_kafka_AdminOptions_t>) -> Result<(), DescribeError> {
    // SAFETY: the options are owned by a handle that is alive.
    let refused =
        unsafe { c::rd_kafka_AdminOptions_set_include_authorized_operations(options.as_ptr(), 1) };
    let Ok(refused) = Handle::new(refused, c::rd_kafka_error_destroy) else {
        return Ok(());
    };
    // SAFETY: the error is owned by a handle that is alive.
    accepted(unsafe { c::rd_kafka_error_code(refused.as_ptr()) })
}

/// Errors with the code of the argument that librdkafka refused.
fn accepted(code: RDKafkaRespErr) -> Result<(), DescribeError> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        refused => Err(DescribeError::Request(refused.into())),
    }
}

/// Returns a broker to ask if the controller that the cluster names is not one of its brokers.
/// `None` if it is.
///
/// librdkafka sends the request to the controller and would wait for it. Its own mock cluster names
/// broker 0, which it does not have; only that number is checked, so that other clusters need no
/// further request.
fn other_than_controller<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Option<i32> {
    // SAFETY: `native_ptr` is the client's own handle, which is valid while `client` is borrowed
    // (rule 1).
    let controller =
        unsafe { c::rd_kafka_controllerid(client.native_ptr(), milliseconds(timeout)) };
    if controller != 0 {
        return None;
    }
    let metadata = client.fetch_metadata(Some(topic), timeout).ok()?;
    let brokers = metadata.brokers();
    if brokers.iter().any(|broker| broker.id() == controller) {
        return None;
    }
    brokers.first().map(rdkafka::metadata::MetadataBroker::id)
}

fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

/// Copies the answers out of the event of a request that succeeded.
fn answers(event: &Handle<c::rd_kafka_event_t>) -> Result<Vec<DescribedTopic>, DescribeError> {
    // SAFETY: the event is alive (rule 3); the function returns null for an event of another type.
    let result = unsafe { c::rd_kafka_event_DescribeTopics_result(event.as_ptr()) };
    if result.is_null() {
        return Err(DescribeError::Prepare);
    }
    let mut count = 0;
    // SAFETY: the result is part of the event, which is alive (rule 3), and `count` is a valid
    // place for the number.
    let topics = unsafe { c::rd_kafka_DescribeTopics_result_topics(result, &mut count) };
    if topics.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the function returned an array of `count` pointers that lives as long as the event
    // (rule 3), and nothing changes it meanwhile.
    let topics = unsafe { std::slice::from_raw_parts(topics, count) };
    // SAFETY: each pointer of the array is a description that lives as long as the event (rule 3).
    Ok(topics
        .iter()
        .filter_map(|topic| unsafe { answer(*topic) })
        .collect())
}

/// Copies one description. `None` if it has no name.
///
/// # Safety
///
/// `topic` must point to a description of an event that is alive.
unsafe fn answer(topic: *const c::rd_kafka_TopicDescription_t) -> Option<DescribedTopic> {
    // SAFETY: `topic` is valid, as the caller promises.
    let name = unsafe { c::rd_kafka_TopicDescription_name(topic) };
    if name.is_null() {
        return None;
    }
    // SAFETY: the name is zero-terminated and lives as long as the description.
    let name = unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: `topic` is valid, as the caller promises.
    let error = unsafe { c::rd_kafka_TopicDescription_error(topic) };
    // SAFETY: the error is null, for which the function returns the code of no error, or part of
    // the description.
    let code = unsafe { c::rd_kafka_error_code(error) };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Some(DescribedTopic {
            topic: name,
            id: Err(code.into()),
            may_read: None,
        });
    }
    // SAFETY: `topic` is valid, as the caller promises.
    let may_read = unsafe { may_read(topic) };
    // SAFETY: `topic` is valid, as the caller promises.
    let id = unsafe { c::rd_kafka_TopicDescription_topic_id(topic) };
    if id.is_null() {
        return Some(DescribedTopic {
            topic: name,
            id: Ok(None),
            may_read,
        });
    }
    // SAFETY: the id is part of the description, which is valid.
    let high = unsafe { c::rd_kafka_Uuid_most_significant_bits(id) };
    // SAFETY: as above.
    let low = unsafe { c::rd_kafka_Uuid_least_significant_bits(id) };
    let id = (u128::from(high.cast_unsigned()) << 64) | u128::from(low.cast_unsigned());
    // A broker that is older than topic ids leaves it zero.
    Some(DescribedTopic {
        topic: name,
        id: Ok((id != 0).then_some(id)),
        may_read,
    })
}

/// Returns true if the operations of a description contain reading; `None` if it has no operations.
///
/// # Safety
///
/// `topic` must point to a description of an event that is alive.
unsafe fn may_read(topic: *const c::rd_kafka_TopicDescription_t) -> Option<bool> {
    let mut count = 0;
    // SAFETY: `topic` is valid, as the caller promises, and `count` is a valid place for the
    // number.
    let operations =
        unsafe { c::rd_kafka_TopicDescription_authorized_operations(topic, &mut count) };
    if operations.is_null() {
        return None;
    }
    // SAFETY: the function returned an array of `count` operations that lives as long as the
    // description, and nothing changes it meanwhile.
    let operations = unsafe { std::slice::from_raw_parts(operations, count) };
    Some(operations.contains(&c::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ))
}
