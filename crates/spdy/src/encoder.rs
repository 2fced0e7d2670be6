//! Frames into bytes.

use crate::compression::Deflater;
use crate::frame::{FLAG_FIN, FLAG_UNIDIRECTIONAL, Frame, ID_MASK, VERSION, kind};
use crate::headers::Headers;
use bytes::{BufMut, BytesMut};

/// Writes frames in the order in which they are sent: compression depends on it.
#[derive(Default)]
pub struct Encoder {
    deflater: Option<Deflater>,
}

impl Encoder {
    /// Data longer than 2^24-1 bytes is the caller's fault, and is cut.
    pub fn encode(&mut self, frame: &Frame, into: &mut BytesMut) {
        match frame {
            Frame::SynStream { id, associated, priority, fin, unidirectional, headers } => {
                let block = self.block(headers);
                let flags = flag(*fin, FLAG_FIN) | flag(*unidirectional, FLAG_UNIDIRECTIONAL);
                control(into, kind::SYN_STREAM, flags, block.len() + 10);
                into.put_u32(id & ID_MASK);
                into.put_u32(associated & ID_MASK);
                into.put_u8(priority << 5);
                into.put_u8(0);
                into.put_slice(&block);
            }
            Frame::SynReply { id, fin, headers } => self.replied(into, kind::SYN_REPLY, *id, *fin, headers),
            Frame::Headers { id, fin, headers } => self.replied(into, kind::HEADERS, *id, *fin, headers),
            Frame::RstStream { id, status } => pair(into, kind::RST_STREAM, id & ID_MASK, status.0),
            Frame::GoAway { last_good, status } => pair(into, kind::GOAWAY, last_good & ID_MASK, *status),
            Frame::WindowUpdate { id, delta } => pair(into, kind::WINDOW_UPDATE, id & ID_MASK, delta & ID_MASK),
            Frame::Settings(settings) => {
                control(into, kind::SETTINGS, 0, 4 + 8 * settings.len());
                into.put_u32(settings.len() as u32);
                for (id, value) in settings {
                    into.put_u32(id & 0x00ff_ffff);
                    into.put_u32(*value);
                }
            }
            Frame::Ping(id) => {
                control(into, kind::PING, 0, 4);
                into.put_u32(*id);
            }
            Frame::Data { id, fin, bytes } => {
                let bytes = &bytes[..bytes.len().min(0x00ff_ffff)];
                into.reserve(8 + bytes.len());
                into.put_u32(id & ID_MASK);
                into.put_u32(u32::from(flag(*fin, FLAG_FIN)) << 24 | bytes.len() as u32);
                into.put_slice(bytes);
            }
        }
    }

    fn replied(&mut self, into: &mut BytesMut, kind: u16, id: u32, fin: bool, headers: &Headers) {
        let block = self.block(headers);
        control(into, kind, flag(fin, FLAG_FIN), block.len() + 4);
        into.put_u32(id & ID_MASK);
        into.put_slice(&block);
    }

    fn block(&mut self, headers: &Headers) -> Vec<u8> {
        self.deflater.get_or_insert_with(Deflater::new).deflate(&headers.write())
    }
}

fn flag(on: bool, bit: u8) -> u8 {
    if on { bit } else { 0 }
}

fn control(into: &mut BytesMut, kind: u16, flags: u8, length: usize) {
    into.put_u16(0x8000 | VERSION);
    into.put_u16(kind);
    into.put_u32(u32::from(flags) << 24 | (length as u32 & 0x00ff_ffff));
}

fn pair(into: &mut BytesMut, kind: u16, first: u32, second: u32) {
    control(into, kind, 0, 8);
    into.put_u32(first);
    into.put_u32(second);
}
