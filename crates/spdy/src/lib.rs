//! SPDY/3.1 as Kubernetes' clients, kubelets and container runtimes speak it: many streams on one upgraded connection.
//!
//! Two layers. [`Decoder`] and [`Encoder`] turn bytes into frames and back, without I/O. [`Session`] runs either end of
//! a connection over anything that reads and writes, and gives [`Stream`]s. [`splice`] joins two connections whose
//! inside is nobody's business here.
//!
//! Invariants: no input makes either layer panic or grow without bound (`limits`); what was written before a stream or
//! session was closed in order reaches the peer.

mod compression;
mod decoder;
mod dictionary;
mod encoder;
mod frame;
mod headers;
pub mod limits;
mod session;
mod splice;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use frame::{Frame, ProtocolError, Status};
pub use headers::Headers;
pub use session::{Incoming, OpenError, Session, Stream, StreamReader, StreamWriter};
pub use splice::{splice, splice_while_used};
