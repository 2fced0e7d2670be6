//! A key management service to test with: it wraps by exclusive or, and can be made to refuse, to change its key, to go.

use prost::Message;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// What all calls send and answer, as far as the tests need it: fields by number, whatever their meaning.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Fields {
    #[prost(bytes = "vec", tag = "1")]
    first: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    second: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    third: Vec<u8>,
    #[prost(btree_map = "string, bytes", tag = "4")]
    annotations: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) key_id: AtomicU8,
    pub(crate) unwrapped: AtomicUsize,
    pub(crate) refusal: Mutex<Option<Status>>,
}

#[derive(Clone)]
struct Served(Arc<State>);

pub(crate) struct KeyService {
    pub(crate) state: Arc<State>,
    path: PathBuf,
    task: Option<JoinHandle<()>>,
}

impl KeyService {
    pub(crate) fn start(folder: &Path) -> KeyService {
        let mut service = KeyService { state: Arc::default(), path: folder.join("kms.sock"), task: None };
        service.begin();
        service
    }

    pub(crate) fn begin(&mut self) {
        let listener = UnixListener::bind(&self.path).expect("the socket is free");
        let served = Served(self.state.clone());
        self.task = Some(tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(served);
            server.serve_with_incoming(UnixListenerStream::new(listener)).await.expect("it serves");
        }));
    }

    pub(crate) async fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        std::fs::remove_file(&self.path).expect("the socket was there");
    }

    pub(crate) fn provider(&self) -> String {
        format!("kms: {{apiVersion: v2, name: box, endpoint: 'unix://{}', timeout: 2s}}", self.path.display())
    }
}

impl State {
    fn answer(&self, call: &str, fields: Fields) -> Result<Fields, Status> {
        if let Some(refusal) = &*self.refusal.lock().expect("no test fails in here") {
            return Err(refusal.clone());
        }
        let own = self.key_id.load(Ordering::Acquire);
        let turn = |bytes: &[u8], by: u8| bytes.iter().map(|byte| byte ^ (by + 1)).collect();
        match call {
            "Status" => Ok(Fields {
                first: b"v2".to_vec(),
                second: b"ok".to_vec(),
                third: vec![b'a' + own],
                ..Fields::default()
            }),
            "Encrypt" => Ok(Fields { first: turn(&fields.first, own), second: vec![b'a' + own], ..Fields::default() }),
            "Decrypt" => {
                self.unwrapped.fetch_add(1, Ordering::AcqRel);
                let by = fields.third.first().map_or(0, |letter| letter - b'a');
                Ok(Fields { first: turn(&fields.first, by), ..Fields::default() })
            }
            other => Err(Status::unimplemented(other)),
        }
    }
}

struct Call(Arc<State>, String);

impl UnaryService<Fields> for Call {
    type Response = Fields;
    type Future = Ready<Result<Response<Fields>, Status>>;
    fn call(&mut self, request: Request<Fields>) -> Self::Future {
        ready(self.0.answer(&self.1, request.into_inner()).map(Response::new))
    }
}

impl NamedService for Served {
    const NAME: &'static str = "v2.KeyManagementService";
}

impl Service<http::Request<Body>> for Served {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let call = Call(self.0.clone(), name);
        Box::pin(async move { Ok(Grpc::new(ProstCodec::<Fields, Fields>::default()).unary(call, request).await) })
    }
}
