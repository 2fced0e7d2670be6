//! A small seeded source of damage.

/// What formats care about.
const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"9223372036854775808",
    b"1e999",
    b"0.1",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xf0\x9f\x92\xa5",
    b"\0",
    b"\n",
    b"  ",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"|\n",
    b"---\n",
    b"~",
    b"%",
    b"%2f",
    b"%zz",
    b"/",
    b"..",
    b"?",
    b"&",
    b"=",
    b"!=",
    b" in (",
    b" notin (",
    b")",
    b"metadata",
    b"spec",
    b"\"$patch\":\"replace\"",
    b"\"$retainKeys\":[\"a\"]",
    b"\"$setElementOrder/containers\":[]",
    b"\"$deleteFromPrimitiveList/finalizers\":[\"a\"]",
    b"\"apiVersion\":\"v1\"",
    b"\"kind\":\"List\"",
    b"f:spec",
    b"k:{\"name\":\"a\"}",
    b"v:1",
    b"i:0",
    b".",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"k8s\0",
    b"1E3",
    b"1Gi",
    b"2026-01-01T00:00:00Z",
    b"\"\":\"\"",
    b"self",
    b"all(e, ",
    b".map(e, ",
];
/// The longest input after damage.
const BYTES_MAX: usize = 1 << 18;

pub(super) struct Chaos(u64);

impl Chaos {
    pub(super) fn new(seed: u64) -> Chaos {
        Chaos(seed)
    }

    /// SplitMix64.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`; 0 of nothing.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::try_from(self.next() % bound as u64).unwrap() }
    }

    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The input after one to eight injuries.
    pub(super) fn damage(&mut self, input: &[u8]) -> Vec<u8> {
        let mut damaged = input.to_vec();
        for _ in 0..=self.below(8) {
            self.injure(&mut damaged);
            damaged.truncate(BYTES_MAX);
        }
        damaged
    }

    /// As `damage`, of a text.
    pub(super) fn damage_text(&mut self, input: &str) -> String {
        String::from_utf8_lossy(&self.damage(input.as_bytes())).into_owned()
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let longest = if self.one_in(4) { 512 } else { 16 };
        let end = (start + self.below(longest)).min(bytes.len());
        start..end
    }

    fn injure(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let range = self.range(bytes);
        match self.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.next().to_le_bytes()[0],
            2 => drop(bytes.drain(range)),
            3 => {
                let part = bytes[range].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let token = *self.pick(TOKENS);
                bytes.splice(at..at, token.iter().copied());
            }
            5 => {
                let token = *self.pick(TOKENS);
                bytes.splice(range, token.iter().copied());
            }
            6 => {
                let (token, times) = (*self.pick(TOKENS), 1 << self.below(12));
                bytes.splice(at..at, token.repeat(times));
            }
            7 if self.one_in(4) => bytes.truncate(at),
            _ => {
                let part = bytes[range].to_vec();
                let times = 1 << self.below(6);
                bytes.splice(at..at, part.repeat(times));
            }
        }
    }
}
