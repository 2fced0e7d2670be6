//! One slot: its head, which says whose rows follow, and the rows.

use super::identity::Identity;

pub(super) const SLOT_BYTES: usize = 4096;
/// Changes with the form of what is in a slot: others' slots are as good as empty.
const MAGIC: [u8; 4] = *b"SIH1";
/// Magic, checksum, sequence, first time, length of the head.
const FIXED: usize = 4 + 4 + 8 + 8 + 2;

/// What a slot says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How many slots were begun before, in all the file's life.
    pub(super) sequence: u64,
    pub(super) first_ms: i64,
    pub(super) identity: Identity,
}

impl Head {
    /// The bytes of a new slot's beginning; rows follow behind them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([0; 4]);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.first_ms.to_le_bytes());
        out.extend([0; 2]);
        self.identity.write(&mut out);
        let length = u16::try_from(out.len()).expect("names are bounded").to_le_bytes();
        out[24..26].copy_from_slice(&length);
        let checksum = crc32fast::hash(&out[8..]).to_le_bytes();
        out[4..8].copy_from_slice(&checksum);
        out
    }

    /// The head, and where the rows begin; `None` of what is no slot.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Head, usize)> {
        let fixed = bytes.get(..FIXED).filter(|fixed| fixed[..4] == MAGIC)?;
        let length = usize::from(u16::from_le_bytes(fixed[24..26].try_into().ok()?));
        let head = bytes.get(..length).filter(|head| head.len() >= FIXED)?;
        if crc32fast::hash(&head[8..]) != u32::from_le_bytes(fixed[4..8].try_into().ok()?) {
            return None;
        }
        let sequence = u64::from_le_bytes(fixed[8..16].try_into().ok()?);
        let first_ms = i64::from_le_bytes(fixed[16..24].try_into().ok()?);
        let identity = Identity::read(&mut &head[FIXED..])?;
        Some((Head { sequence, first_ms, identity }, length))
    }
}

/// A slot that was read.
pub(super) struct Slot {
    pub(super) first_ms: i64,
    bytes: Box<[u8; SLOT_BYTES]>,
    rows_at: usize,
}

impl Slot {
    /// `None` where it is not the one of this sequence.
    pub(super) fn of(bytes: Box<[u8; SLOT_BYTES]>, sequence: u64) -> Option<Slot> {
        let (head, rows_at) = Head::decode(bytes.as_slice()).filter(|(head, _)| head.sequence == sequence)?;
        Some(Slot { first_ms: head.first_ms, bytes, rows_at })
    }

    pub(super) fn rows(&self) -> &[u8] {
        &self.bytes[self.rows_at..]
    }
}
