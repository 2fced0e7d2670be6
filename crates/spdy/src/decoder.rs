//! Bytes into frames.

use crate::compression::Inflater;
use crate::frame::{FLAG_FIN, FLAG_UNIDIRECTIONAL, Frame, ID_MASK, ProtocolError, Status, VERSION, kind};
use crate::headers::Headers;
use crate::limits::{CONTROL_BYTES_MAX, DATA_BYTES_MAX};
use bytes::{Buf, Bytes, BytesMut};

const PREFACE: usize = 8;

/// Reads frames in the order in which they came: compression depends on it.
///
/// After an error it must not be used again.
#[derive(Default)]
pub struct Decoder {
    inflater: Option<Inflater>,
    data: Option<Rest>,
}

/// What is still to come of a data frame.
struct Rest {
    id: u32,
    fin: bool,
    bytes: usize,
}

impl Decoder {
    /// The next frame of `bytes`, which it takes away; `None` until more has come. Data comes in pieces of at most
    /// [`DATA_BYTES_MAX`]; frames of unknown types are passed over.
    pub fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        loop {
            if let Some(rest) = self.data.take() {
                return Ok(self.piece(rest, bytes));
            }
            let Some(preface) = bytes.first_chunk::<PREFACE>() else { return Ok(None) };
            let (first, second) = (number(&preface[..4]), number(&preface[4..]));
            let (flags, length) = ((second >> 24) as u8, (second & 0x00ff_ffff) as usize);
            if first & 0x8000_0000 == 0 {
                if first == 0 {
                    return Err(ProtocolError::ZeroStream(0));
                }
                bytes.advance(PREFACE);
                self.data = Some(Rest { id: first, fin: flags & FLAG_FIN != 0, bytes: length });
                continue;
            }
            let (version, kind) = ((first >> 16 & 0x7fff) as u16, first as u16);
            if version != VERSION {
                return Err(ProtocolError::Version(version));
            }
            if length > CONTROL_BYTES_MAX {
                return Err(ProtocolError::Length { kind, length });
            }
            if bytes.len() < PREFACE + length {
                return Ok(None);
            }
            bytes.advance(PREFACE);
            let body = bytes.split_to(length).freeze();
            if let Some(frame) = self.control(kind, flags, body)? {
                return Ok(Some(frame));
            }
        }
    }

    fn piece(&mut self, rest: Rest, bytes: &mut BytesMut) -> Option<Frame> {
        let count = rest.bytes.min(bytes.len()).min(DATA_BYTES_MAX);
        if count == 0 && rest.bytes > 0 {
            self.data = Some(rest);
            return None;
        }
        let (left, piece) = (rest.bytes - count, bytes.split_to(count).freeze());
        if left > 0 {
            self.data = Some(Rest { bytes: left, ..rest });
        }
        Some(Frame::Data { id: rest.id, fin: rest.fin && left == 0, bytes: piece })
    }

    fn control(&mut self, kind: u16, flags: u8, body: Bytes) -> Result<Option<Frame>, ProtocolError> {
        let mut body = Body { kind, length: body.len(), rest: body };
        let fin = flags & FLAG_FIN != 0;
        Ok(Some(match kind {
            kind::SYN_STREAM => {
                let (id, associated) = (body.stream()?, body.number()? & ID_MASK);
                let priority = (body.half()? >> 13) as u8;
                let unidirectional = flags & FLAG_UNIDIRECTIONAL != 0;
                Frame::SynStream { id, associated, priority, fin, unidirectional, headers: self.headers(&body)? }
            }
            kind::SYN_REPLY => Frame::SynReply { id: body.stream()?, fin, headers: self.headers(&body)? },
            kind::HEADERS => Frame::Headers { id: body.stream()?, fin, headers: self.headers(&body)? },
            kind::RST_STREAM => Frame::RstStream { id: body.stream()?, status: Status(body.number()?) },
            kind::PING => Frame::Ping(body.number()?),
            kind::GOAWAY => Frame::GoAway { last_good: body.number()? & ID_MASK, status: body.number()? },
            kind::WINDOW_UPDATE => {
                Frame::WindowUpdate { id: body.number()? & ID_MASK, delta: body.number()? & ID_MASK }
            }
            kind::SETTINGS => {
                let count = body.number()? as usize;
                if body.rest.len() != count.saturating_mul(8) {
                    return Err(body.wrong());
                }
                let settings = body.rest.chunks_exact(8);
                Frame::Settings(settings.map(|pair| (number(&pair[..4]) & 0x00ff_ffff, number(&pair[4..]))).collect())
            }
            _ => return Ok(None),
        }))
    }

    fn headers(&mut self, body: &Body) -> Result<Headers, ProtocolError> {
        Headers::read(&self.inflater.get_or_insert_with(Inflater::new).inflate(&body.rest)?)
    }
}

/// What follows a frame's preface.
struct Body {
    kind: u16,
    length: usize,
    rest: Bytes,
}

impl Body {
    fn wrong(&self) -> ProtocolError {
        ProtocolError::Length { kind: self.kind, length: self.length }
    }

    fn number(&mut self) -> Result<u32, ProtocolError> {
        self.rest.try_get_u32().map_err(|_| self.wrong())
    }

    fn half(&mut self) -> Result<u16, ProtocolError> {
        self.rest.try_get_u16().map_err(|_| self.wrong())
    }

    fn stream(&mut self) -> Result<u32, ProtocolError> {
        match self.number()? & ID_MASK {
            0 => Err(ProtocolError::ZeroStream(self.kind)),
            id => Ok(id),
        }
    }
}

/// Of four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
