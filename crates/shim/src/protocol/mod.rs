//! Frames over a unix stream socket: `length: u32`, `id: u32`, message.
//!
//! Invariants: integers are little-endian; `length` counts what follows it and is at most [`FRAME_BYTES_MAX`];
//! a reply has its request's id, an event has id 0. File descriptors travel with the first byte of the frame that
//! names them. A newer side may append fields to a message: an older one passes over what it does not know, and a
//! newer one takes a missing tail as default values. Anything else raises [`VERSION`].

mod messages;
mod wire;

pub use messages::*;
pub use wire::{Decode, Encode, Malformed, Reader};

/// The version that this side speaks, first word of either side.
pub const VERSION: u32 = 1;

/// The longest frame: the arguments and environment that `execve` takes (2 MiB) with room for mounts and filters.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// The most file descriptors with one frame: an exec's three streams.
pub const FRAME_FDS_MAX: usize = 3;

/// A message as a frame, ready to be sent.
pub fn frame(id: u32, message: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    message.encode(&mut bytes);
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&id.to_le_bytes());
    bytes
}

/// Takes the first whole frame off `buffer`, as its id and message bytes; `None` while it is not whole yet.
pub fn unframe(buffer: &mut Vec<u8>) -> Result<Option<(u32, Vec<u8>)>, Malformed> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if !(4..=FRAME_BYTES_MAX).contains(&length) {
        return Err(Malformed);
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let rest = buffer.split_off(4 + length);
    let frame = std::mem::replace(buffer, rest);
    let id = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
    Ok(Some((id, frame[8..].to_vec())))
}

/// Reads a message from its bytes.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, Malformed> {
    T::decode(&mut Reader::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Request {
        Request::Exec {
            container: "c".into(),
            process: Box::new(ProcessSpec {
                args: vec!["sh".into(), "-c".into()],
                seccomp: vec![vec![1, 2, 3]],
                oom_score_adj: Some(-5),
                ..ProcessSpec::default()
            }),
            streams: 7,
        }
    }

    #[test]
    fn frames_survive_any_cut() {
        let mut bytes = frame(9, &example());
        bytes.extend(frame(10, &Request::Shutdown {}));
        let (mut buffer, mut seen) = (Vec::new(), Vec::new());
        for byte in bytes {
            buffer.push(byte);
            while let Some((id, message)) = unframe(&mut buffer).unwrap() {
                seen.push((id, decode::<Request>(&message).unwrap()));
            }
        }
        assert_eq!(seen, [(9, example()), (10, Request::Shutdown {})]);
    }

    #[test]
    fn missing_tail_is_default_and_extra_tail_is_passed_over() {
        let mut bytes = Vec::new();
        example().encode(&mut bytes);
        let cut = decode::<Request>(&bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(cut, Request::Exec { streams: 0, .. }));
        bytes.push(77);
        assert_eq!(decode::<Request>(&bytes).unwrap(), example());
    }

    #[test]
    fn nonsense_is_refused_not_believed() {
        assert!(decode::<Request>(&[200]).is_err());
        assert!(unframe(&mut vec![255; 8]).is_err());
        assert!(unframe(&mut vec![0; 8]).is_err());
        // A string that claims more bytes than there are.
        assert!(decode::<Request>(&[3, 255, 255, 255, 255, b'a']).is_err());
        let mut bytes = Vec::new();
        example().encode(&mut bytes);
        for at in 0..bytes.len() {
            // Every cut inside a value is either an error or a default tail, never a panic.
            decode::<Request>(&bytes[..at]).ok();
        }
    }
}
