//! What travels on a connection.

use crate::headers::Headers;
use bytes::Bytes;

pub(crate) const VERSION: u16 = 3;
pub(crate) const FLAG_FIN: u8 = 1;
pub(crate) const FLAG_UNIDIRECTIONAL: u8 = 2;
/// The most significant bit of an id or a window is no part of it.
pub(crate) const ID_MASK: u32 = 0x7fff_ffff;

/// Numbers of the frames that are no data.
pub(crate) mod kind {
    pub(crate) const SYN_STREAM: u16 = 1;
    pub(crate) const SYN_REPLY: u16 = 2;
    pub(crate) const RST_STREAM: u16 = 3;
    pub(crate) const SETTINGS: u16 = 4;
    pub(crate) const PING: u16 = 6;
    pub(crate) const GOAWAY: u16 = 7;
    pub(crate) const HEADERS: u16 = 8;
    pub(crate) const WINDOW_UPDATE: u16 = 9;
}

/// Why a stream is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    pub const PROTOCOL_ERROR: Status = Status(1);
    pub const INVALID_STREAM: Status = Status(2);
    pub const REFUSED_STREAM: Status = Status(3);
    pub const CANCEL: Status = Status(5);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    SynStream {
        id: u32,
        associated: u32,
        priority: u8,
        fin: bool,
        unidirectional: bool,
        headers: Headers,
    },
    SynReply {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    RstStream {
        id: u32,
        status: Status,
    },
    /// Pairs of setting and value.
    Settings(Vec<(u32, u32)>),
    Ping(u32),
    GoAway {
        last_good: u32,
        status: u32,
    },
    Headers {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    WindowUpdate {
        id: u32,
        delta: u32,
    },
    /// Data; as decoded a piece of it, with `fin` on the last one.
    Data {
        id: u32,
        fin: bool,
        bytes: Bytes,
    },
}

/// What a peer must not send. The connection ends: compression has lost its step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("SPDY version {0} is not 3")]
    Version(u16),
    #[error("a frame of type {kind} has {length} bytes")]
    Length { kind: u16, length: usize },
    #[error("a frame of type {0} names stream 0")]
    ZeroStream(u16),
    #[error("headers do not inflate")]
    Compression,
    #[error("headers: {0}")]
    Headers(&'static str),
}
