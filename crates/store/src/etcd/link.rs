//! Calls to whichever member answers.
//!
//! Invariants: all calls share one connection; whoever finds it dead puts it away, and the next caller dials the next
//! member. A failure says whether the call can have reached etcd, so that nothing is done twice unknowingly.

use super::options::EtcdOptions;
use crate::StoreError;
use parking_lot::Mutex;
use prost::Message;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// Dialling one member.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
/// etcd gives a request up after seven seconds at its default election timeout; its own answer should come first.
const CALL_TIME_MAX: Duration = Duration::from_secs(8);
/// Members close a connection that pings more often than every five seconds.
const PING_EVERY: Duration = Duration::from_secs(10);
const PONG_TIME_MAX: Duration = Duration::from_secs(5);
/// One page of a range, or a watch's answer with the values before: far above what etcd takes in.
const ANSWER_BYTES_MAX: usize = 1 << 30;
const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It never left.
    NotSent(Status),
    /// It may have happened.
    Unknown(Status),
    /// etcd will not do it, and has not.
    Refused(Status),
}

impl Failure {
    fn of(status: Status) -> Failure {
        match status.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Failure::Refused(status),
            _ => Failure::Unknown(status),
        }
    }
}

pub(super) type Client = Grpc<Channel>;

struct Current {
    client: Client,
    /// The member's place in the list.
    member: usize,
    /// Tells this connection from earlier ones to the same member.
    number: usize,
}

pub(super) struct Link {
    members: Vec<(Endpoint, String)>,
    current: Mutex<Option<Current>>,
    /// Held while dialling, so that a hundred callers make one connection; or are told of one refusal, the last, rather
    /// than wait for a hundred.
    dialling: tokio::sync::Mutex<Option<Status>>,
    refusals: AtomicUsize,
    /// Where to dial next, of all connections ever.
    next: AtomicUsize,
    dialled: AtomicUsize,
    patience: Duration,
    /// The newest revision of etcd that any answer named.
    newest: AtomicI64,
    /// Why the last call had no answer, if it had none.
    silence: Mutex<Option<Status>>,
}

impl Link {
    pub(super) fn new(options: &EtcdOptions) -> Result<Link, StoreError> {
        let members: Result<Vec<_>, _> =
            options.endpoints.iter().map(|url| Ok((endpoint(url, options)?, url.clone()))).collect();
        let members = members?;
        if members.is_empty() {
            return Err(unusable("", "no etcd endpoint is named"));
        }
        Ok(Link {
            members,
            current: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
            refusals: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            dialled: AtomicUsize::new(0),
            patience: options.patience,
            newest: AtomicI64::new(0),
            silence: Mutex::default(),
        })
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether the last call was answered.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        match &*self.silence.lock() {
            Some(status) => Err(unanswered("asking etcd", status)),
            None => Ok(()),
        }
    }

    pub(super) fn newest(&self) -> i64 {
        self.newest.load(Ordering::Acquire)
    }

    pub(super) fn saw(&self, revision: i64) {
        self.newest.fetch_max(revision, Ordering::AcqRel);
    }

    /// One try of one call.
    pub(super) async fn call<Q, A>(&self, path: &'static str, request: &Q) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.call_within(CALL_TIME_MAX, path, request).await
    }

    /// One try of one call that is of no use later: a member that takes longer is left.
    pub(super) async fn call_within<Q, A>(
        &self,
        time_max: Duration,
        path: &'static str,
        request: &Q,
    ) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let answer = self.ask(time_max, path, request).await;
        *self.silence.lock() = match &answer {
            Err(Failure::NotSent(status) | Failure::Unknown(status)) => Some(status.clone()),
            Ok(_) | Err(Failure::Refused(_)) => None,
        };
        answer
    }

    async fn ask<Q, A>(&self, time_max: Duration, path: &'static str, request: &Q) -> Result<A, Failure>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let (mut client, number) = self.client().await.map_err(Failure::NotSent)?;
        if let Err(error) = client.ready().await {
            self.leave(number);
            return Err(Failure::NotSent(Status::unavailable(error.to_string())));
        }
        let codec = ProstCodec::<Q, A>::default();
        let asked = client.unary(Request::new(request.clone()), PathAndQuery::from_static(path), codec);
        let answer = match tokio::time::timeout(time_max, asked).await {
            Ok(answer) => answer.map_err(Failure::of),
            Err(late) => Err(Failure::Unknown(Status::deadline_exceeded(late.to_string()))),
        };
        if let Err(Failure::Unknown(_)) = &answer {
            self.leave(number);
        }
        Ok(answer?.into_inner())
    }

    /// A call that may happen twice: tried until it is answered, or patience ends.
    pub(super) async fn repeat<Q, A>(
        &self,
        attempted: &str,
        path: &'static str,
        request: &Q,
    ) -> Result<Result<A, Status>, StoreError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let mut backoff = Backoff::until(self.patience);
        loop {
            match self.call(path, request).await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(Failure::Refused(status)) => return Ok(Err(status)),
                Err(Failure::NotSent(status) | Failure::Unknown(status)) => {
                    if !backoff.pause().await {
                        return Err(unanswered(attempted, &status));
                    }
                }
            }
        }
    }

    /// The connection that all calls share.
    async fn client(&self) -> Result<(Client, usize), Status> {
        if let Some(found) = self.connected() {
            return Ok(found);
        }
        let refusals = self.refusals.load(Ordering::Acquire);
        let mut last = self.dialling.lock().await;
        if let Some(found) = self.connected() {
            return Ok(found);
        }
        if let Some(refusal) = &*last
            && self.refusals.load(Ordering::Acquire) != refusals
        {
            return Err(refusal.clone());
        }
        let (client, member) = match self.dial().await {
            Ok(dialled) => dialled,
            Err(refusal) => {
                *last = Some(refusal.clone());
                self.refusals.fetch_add(1, Ordering::AcqRel);
                return Err(refusal);
            }
        };
        let number = self.dialled.fetch_add(1, Ordering::AcqRel);
        *self.current.lock() = Some(Current { client: client.clone(), member, number });
        Ok((client, number))
    }

    fn connected(&self) -> Option<(Client, usize)> {
        self.current.lock().as_ref().map(|current| (current.client.clone(), current.number))
    }

    /// Puts a connection away that did not answer.
    fn leave(&self, number: usize) {
        let mut current = self.current.lock();
        if let Some(left) = current.take_if(|current| current.number == number) {
            self.next.store(left.member + 1, Ordering::Release);
            tracing::debug!(member = self.members[left.member].1, "an etcd member did not answer");
        }
    }

    /// A new connection, to the first member from the next on that takes one.
    pub(super) async fn dial(&self) -> Result<(Client, usize), Status> {
        let first = self.next.load(Ordering::Acquire);
        let mut refusals = Vec::new();
        for at in 0..self.members.len() {
            let member = (first + at) % self.members.len();
            let (endpoint, url) = &self.members[member];
            match tokio::time::timeout(CONNECT_TIME_MAX, endpoint.connect()).await {
                Ok(Ok(channel)) => return Ok((Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX), member)),
                Ok(Err(error)) => refusals.push(format!("{url}: {}", causes(&error))),
                Err(late) => refusals.push(format!("{url}: {late}")),
            }
        }
        Err(Status::unavailable(format!("no etcd member can be reached: {}", refusals.join("; "))))
    }

    /// Lets the next dial begin at another member than the last did.
    pub(super) fn elsewhere(&self) {
        self.next.fetch_add(1, Ordering::AcqRel);
    }
}

/// Growing pauses until a deadline.
pub(super) struct Backoff {
    deadline: Instant,
    next: Duration,
}

impl Backoff {
    pub(super) fn until(patience: Duration) -> Backoff {
        Backoff { deadline: Instant::now() + patience, next: BACKOFF_MIN }
    }

    /// Waits a little; false when patience has ended.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() + self.next > self.deadline {
            return false;
        }
        self.wait().await;
        true
    }

    /// Waits a little, whatever the deadline.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(BACKOFF_MAX);
    }
}

fn endpoint(url: &str, options: &EtcdOptions) -> Result<Endpoint, StoreError> {
    let secure = url.starts_with("https://");
    if !secure && !url.starts_with("http://") {
        return Err(unusable(url, "it must be http://HOST:PORT or https://HOST:PORT"));
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| unusable(url, &causes(&error)))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIME_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_TIME_MAX)
        .keep_alive_while_idle(true);
    match (&options.tls, secure) {
        (None, false) => Ok(endpoint),
        (Some(_), false) => Err(unusable(url, "certificates are given, but it is not https")),
        (None, true) => Err(unusable(url, "https needs the file of the authorities that signed its certificate")),
        (Some(tls), true) => {
            let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.ca));
            if let Some((certificate, key)) = &tls.identity {
                config = config.identity(Identity::from_pem(certificate, key));
            }
            endpoint.tls_config(config).map_err(|error| unusable(url, &causes(&error)))
        }
    }
}

fn unusable(url: &str, reason: &str) -> StoreError {
    StoreError::Io {
        attempted: format!("using the etcd endpoint {url:?}"),
        source: io::Error::new(io::ErrorKind::InvalidInput, reason.to_owned()),
    }
}

/// An error with all that caused it: the transport's own text names none of it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

pub(super) fn unanswered(attempted: &str, status: &Status) -> StoreError {
    let kind =
        if status.code() == Code::DeadlineExceeded { io::ErrorKind::TimedOut } else { io::ErrorKind::NotConnected };
    StoreError::Io { attempted: attempted.to_owned(), source: io::Error::new(kind, status.message().to_owned()) }
}

/// A refusal without a meaning of its own.
pub(super) fn refused(attempted: &str, status: &Status) -> StoreError {
    let kind = match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => io::ErrorKind::PermissionDenied,
        Code::ResourceExhausted => io::ErrorKind::QuotaExceeded,
        _ => io::ErrorKind::Other,
    };
    StoreError::Io { attempted: attempted.to_owned(), source: io::Error::new(kind, status.message().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EtcdTls;

    /// A member that takes connections and shakes no hands: each dial takes all of its time.
    #[tokio::test]
    async fn who_waits_for_a_dial_is_told_of_its_refusal() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
        let options = EtcdOptions {
            endpoints: vec![format!("https://{}", silent.local_addr().unwrap())],
            tls: Some(EtcdTls { ca: authority.cert.pem().into_bytes(), identity: None }),
            ..EtcdOptions::default()
        };
        let link = Link::new(&options).unwrap();
        let (one, two, three, four) = tokio::join!(link.client(), link.client(), link.client(), link.client());
        let refusals = [one, two, three, four].map(|refused| refused.err().unwrap().message().to_owned());
        assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
        assert_eq!(link.refusals.load(Ordering::Relaxed), 1, "one dial for all");
    }
}
