//! Lines on their way to a receiver, in requests that are neither too large nor split between two acknowledgements.

use super::ledger::Key;
use crate::block::{Block, Line};
use crate::follow::{Position, Taken};
use crate::search::Source;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Of one request. Each line takes some 60 bytes beside its text.
const LINES_MAX: usize = 5000;
const BYTES_MAX: usize = 1 << 20;

/// What was read at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) taken: Vec<Taken>,
    /// Containers of pods that are gone, of which this is all.
    pub(super) finished: Vec<Key>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.finished.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.taken.iter().map(|taken| taken.block.texts().len()).sum()
    }

    /// The lines of requests, in order.
    pub(super) fn into_pages(self) -> Vec<Page> {
        let (mut pages, mut page, mut lines, mut bytes) = (Vec::new(), Page::default(), 0, 0);
        for Taken { source, block, upto } in self.taken {
            let block = Arc::new(block);
            let mut from = 0;
            for line in 0..block.len() {
                lines += 1;
                bytes += block.text(line).len();
                if lines >= LINES_MAX || bytes >= BYTES_MAX {
                    page.parts.push(Part { source: source.clone(), block: block.clone(), lines: from..line + 1, upto });
                    pages.push(std::mem::take(&mut page));
                    (from, lines, bytes) = (line + 1, 0, 0);
                }
            }
            if from < block.len() {
                page.parts.push(Part { lines: from..block.len(), source, block, upto });
            }
        }
        if !page.parts.is_empty() {
            pages.push(page);
        }
        pages
    }
}

/// Lines of one container.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) source: Arc<Source>,
    block: Arc<Block>,
    lines: Range<usize>,
    /// Behind the last line of the block.
    upto: Position,
}

impl Part {
    pub(super) fn lines(&self) -> impl Iterator<Item = (Line, &[u8])> {
        self.lines.clone().map(|index| (self.block.lines()[index], self.block.text(index)))
    }

    /// Which instance of the container it was.
    pub(super) fn attempt(&self) -> u32 {
        self.upto.attempt
    }

    /// Behind the last of its own lines.
    fn position(&self) -> Position {
        match self.block.len() - self.lines.end {
            0 => self.upto,
            // Where a line in the middle ends is found again by its number.
            beyond => Position { lines: self.upto.lines - beyond as u64, bytes: 0, ..self.upto },
        }
    }
}

/// The lines of one request.
#[derive(Clone, Default)]
pub(super) struct Page {
    pub(super) parts: Vec<Part>,
}

impl Page {
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lines.len()).sum()
    }

    /// Where each container is when all of it is acknowledged.
    pub(super) fn positions(&self) -> BTreeMap<Key, Position> {
        let key = |source: &Source| Key::new(&source.pod.directory(), &source.container);
        self.parts.iter().map(|part| (key(&part.source), part.position())).collect()
    }

    /// `None` of a single line.
    pub(super) fn halves(self) -> Option<[Page; 2]> {
        let half = self.len() / 2;
        if half == 0 {
            return None;
        }
        let (mut first, mut second, mut left) = (Page::default(), Page::default(), half);
        for part in self.parts {
            let middle = part.lines.start + left.min(part.lines.len());
            left -= middle - part.lines.start;
            let (head, tail) = (part.lines.start..middle, middle..part.lines.end);
            if !head.is_empty() {
                first.parts.push(Part { lines: head, ..part.clone() });
            }
            if !tail.is_empty() {
                second.parts.push(Part { lines: tail, ..part });
            }
        }
        Some([first, second])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::identity::{Identity, Rotation, Workload};
    use crate::search::Rotated;

    pub(in crate::export) fn taken(pod: &str, lines: &[&[u8]], before: u64) -> Taken {
        let owner = Workload { kind: "Deployment".into(), name: "web".into() };
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let identity = Identity::new("shop", pod, &format!("uid-{pod}"), labels, Some(owner));
        let source = Arc::new(Source { pod: Arc::new(identity), container: "main".into() });
        let mut block = Block::default();
        for line in lines {
            block.push_raw(line, 0);
        }
        block.classify();
        let upto = Position {
            attempt: 2,
            rotation: Rotation::Live,
            rotated: Rotated { last: 0, moving: false },
            print: None,
            lines: before + lines.len() as u64,
            bytes: 777,
        };
        Taken { source, block, upto }
    }

    pub(in crate::export) fn page(taken: Vec<Taken>) -> Page {
        let mut pages = Batch { taken, finished: Vec::new() }.into_pages();
        assert_eq!(pages.len(), 1);
        pages.remove(0)
    }

    fn texts(page: &Page) -> Vec<String> {
        let lines = page.parts.iter().flat_map(Part::lines);
        lines.map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn pages_are_bounded_and_acknowledge_what_they_hold() {
        let own: Vec<String> = (0..12_000).map(|line| line.to_string()).collect();
        let lines: Vec<&[u8]> = own.iter().map(String::as_bytes).collect();
        let batch = Batch { taken: vec![taken("a", &lines[..100], 0), taken("b", &lines, 50)], finished: Vec::new() };
        let pages = batch.into_pages();
        assert_eq!(pages.iter().map(Page::len).collect::<Vec<_>>(), [5000, 5000, 2100]);
        assert_eq!(pages.iter().flat_map(texts).collect::<Vec<_>>(), [&own[..100], &own].concat());
        let of_b = Key::new("shop_b_uid-b", "main");
        let behind: Vec<_> = pages.iter().map(|page| page.positions()[&of_b]).collect();
        assert_eq!(
            behind.iter().map(|at| (at.lines, at.bytes)).collect::<Vec<_>>(),
            [(4950, 0), (9950, 0), (12_050, 777)]
        );
        let long = vec![b'x'; 300 << 10];
        let batch = Batch { taken: vec![taken("a", &[long.as_slice(); 8], 0)], finished: Vec::new() };
        assert_eq!(batch.into_pages().iter().map(Page::len).collect::<Vec<_>>(), [4, 4]);
    }

    #[test]
    fn a_page_is_halved_down_to_a_line() {
        let [first, second] =
            page(vec![taken("a", &[b"1", b"2"], 0), taken("b", &[b"3", b"4", b"5"], 0)]).halves().unwrap();
        assert_eq!(
            (texts(&first), texts(&second)),
            (vec!["1".into(), "2".into()], vec!["3".into(), "4".into(), "5".into()])
        );
        let [first, second] = second.halves().unwrap();
        assert_eq!((texts(&first), texts(&second)), (vec!["3".to_owned()], vec!["4".to_owned(), "5".to_owned()]));
        assert_eq!(first.positions().values().map(|at| at.lines).collect::<Vec<_>>(), [1]);
        assert!(first.halves().is_none());
    }
}
