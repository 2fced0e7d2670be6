//! What a call costs by estimate, and how large its result may be.

use super::formula::{Formula, selector};
use super::range::CostRange;
use super::{FORMAT_PATTERN_MAX, PATTERN, TRAVERSAL};
use crate::types::Type;

/// The longest text of a number, a flag or a time: a time with its nanoseconds has 30 characters.
const SCALAR_TEXT_MAX: u64 = 40;

/// What is known of an argument.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) declared: Type,
    /// None where nothing bounds it.
    pub(crate) size: Option<CostRange>,
    /// The size of a list's items, if a schema bounds it.
    pub(crate) items: Option<CostRange>,
    /// A constant whole number.
    pub(crate) constant: Option<i64>,
}

impl Argument {
    fn size(&self) -> CostRange {
        self.size.unwrap_or(CostRange::UNKNOWN)
    }
}

/// What a call costs without its arguments, and its result's size if that follows from theirs.
pub(crate) struct CallEstimate {
    pub(crate) cost: CostRange,
    pub(crate) size: Option<CostRange>,
}

impl From<CostRange> for CallEstimate {
    fn from(cost: CostRange) -> Self {
        CallEstimate { cost, size: None }
    }
}

impl Formula {
    pub(crate) fn estimated(&self, arguments: &[Argument]) -> CallEstimate {
        let size = |index: usize| arguments.get(index).map_or(CostRange::UNKNOWN, Argument::size);
        let passed = |index: usize| size(index).share(TRAVERSAL);
        let sized = |cost: CostRange, size: CostRange| CallEstimate { cost, size: Some(size) };
        match self {
            Formula::Fixed(cost) => CostRange::fixed(*cost).into(),
            Formula::Traversal { keeps_size: true } => sized(passed(0), size(0)),
            Formula::Traversal { keeps_size: false } => passed(0).into(),
            Formula::TwoTraversals => size(0).share(2.0 * TRAVERSAL).into(),
            Formula::Replace => sized(size(0).share(2.0 * TRAVERSAL), replaced(size(0), size(1), size(2))),
            Formula::Split => {
                let limit = arguments.get(2).and_then(|limit| limit.constant);
                let most = limit.map_or(size(0).max, |limit| limit as u64);
                sized(size(0).share(2.0 * TRAVERSAL), CostRange { min: 0, max: most })
            }
            Formula::Join => joined(arguments),
            Formula::Affix => passed(1).into(),
            Formula::Contains => passed(0).times(passed(1)).into(),
            Formula::Matches => matched(size(0), size(1)).into(),
            Formula::Find => sized(matched(size(0), size(1)), CostRange { min: 0, max: size(0).max }),
            Formula::Search => size(1).into(),
            Formula::Order => compared(size(0), size(1)).into(),
            Formula::Concat => {
                let sum = size(0).plus(size(1));
                sized(sum.share(TRAVERSAL), sum)
            }
            Formula::ConcatLists => sized(CostRange::ONE, size(0).plus(size(1))),
            Formula::TextToBytes => {
                sized(passed(0), CostRange { min: size(0).min, max: size(0).max.saturating_mul(4) })
            }
            Formula::ScalarToText => sized(CostRange::ONE, CostRange { min: 1, max: SCALAR_TEXT_MAX }),
            Formula::BytesToText => sized(passed(0), CostRange { min: size(0).min / 4, max: size(0).max }),
            Formula::Quote => {
                let (min, max) = (size(0).min.saturating_add(2), size(0).max.saturating_mul(2).saturating_add(2));
                sized(passed(0), CostRange { min, max })
            }
            Formula::Format => passed(0).into(),
            Formula::Scan => scanned(arguments).into(),
            Formula::Selector => CostRange { min: selector(size(1).min), max: selector(size(1).max) }.into(),
            Formula::ContainsIp { text } => address_text(CostRange { min: 1, max: 4 }, *text, passed(1)).into(),
            Formula::ContainsCidr { text } => address_text(CostRange { min: 3, max: 7 }, *text, passed(1)).into(),
            Formula::Validate => passed(1).share(FORMAT_PATTERN_MAX as f64 * PATTERN).into(),
            Formula::Sets(factor) => {
                size(0).times(size(1)).times(CostRange::fixed(*factor)).plus(CostRange::ONE).into()
            }
        }
    }
}

/// Comparing addresses costs what their 4 to 16 bytes do; one in a text is read first.
fn address_text(compared: CostRange, text: bool, read: CostRange) -> CostRange {
    if text { compared.plus(read) } else { compared }
}

fn matched(text: CostRange, pattern: CostRange) -> CostRange {
    text.plus(CostRange::ONE).share(TRAVERSAL).times(pattern.share(PATTERN))
}

/// The cheaper of two values bounds a comparison; one that costs at all costs 1.
pub(crate) fn compared(left: CostRange, right: CostRange) -> CostRange {
    let max = left.max.min(right.max);
    CostRange { min: max.min(1), max }.share(TRAVERSAL)
}

fn scanned(arguments: &[Argument]) -> CostRange {
    let Some(target) = arguments.first() else { return CostRange::ZERO };
    match &target.declared {
        Type::List(element) => {
            let mut each = CostRange::ONE;
            if matches!(**element, Type::String | Type::Bytes) {
                each = each.plus(target.items.unwrap_or(CostRange::UNKNOWN).share(TRAVERSAL));
            }
            target.size().times(each)
        }
        _ => target.size().share(TRAVERSAL),
    }
}

fn joined(arguments: &[Argument]) -> CallEstimate {
    let Some(target) = arguments.first() else { return CostRange::ZERO.into() };
    let count = target.size();
    let mut size = count.times(target.items.unwrap_or(CostRange::UNKNOWN));
    if let Some(separator) = arguments.get(1) {
        let between = CostRange { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
        size = size.plus(separator.size().times(between));
    }
    CallEstimate { cost: size.share(TRAVERSAL), size: Some(size) }
}

/// The size of a text of this size in which texts of that size become texts of another.
fn replaced(text: CostRange, old: CostRange, new: CostRange) -> CostRange {
    let (mut count, mut kept) = (CostRange::ZERO, CostRange::ZERO);
    if old.min == 0 {
        // An empty text is before, between and after all characters.
        (count.max, kept.max) = (text.max.saturating_add(1), text.max);
    } else if new.max <= old.min {
        kept.max = text.max;
    } else {
        count.max = text.max.div_ceil(old.min);
    }
    if old.max == 0 {
        (count.min, kept.min) = (text.min.saturating_add(1), text.min);
    } else if old.max <= new.min {
        kept.min = text.min;
    } else {
        count.min = text.min.div_ceil(old.max);
    }
    count.times(new).plus(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_sizes_follow_upstream() {
        let range = |min, max| CostRange { min, max };
        for (text, old, new, expected) in [
            (range(3, 3), range(0, 0), range(1, 1), range(7, 7)),
            (range(3, 3), range(1, 1), range(0, 0), range(0, 3)),
            (range(4, 4), range(2, 2), range(4, 4), range(4, 8)),
            (range(4, 4), range(0, 1), range(0, 2), range(0, 14)),
            (range(4, 4), range(1, 1), range(1, 2), range(4, 8)),
        ] {
            assert_eq!(replaced(text, old, new), expected, "{text:?} {old:?} {new:?}");
        }
    }
}
