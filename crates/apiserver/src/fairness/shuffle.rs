//! Which queues a flow may use: a hand of them, dealt by the flow's hash.
//!
//! Two flows seldom have the whole hand in common, so that a flow that fills its queues leaves others theirs.

use smallvec::SmallVec;

/// The greatest hand that is dealt without allocating; the suggested levels have 6.
const HAND_USUAL: usize = 8;

/// Draws `hand` different cards of a deck; a hand greater than the deck is the whole deck.
///
/// The hash is read as a number of mixed radix: each digit picks among the cards that are left. API validation sees to it
/// that the hash has digits enough.
pub(super) fn deal(hash: u64, deck: usize, hand: usize) -> SmallVec<[usize; HAND_USUAL]> {
    let mut drawn: SmallVec<[usize; HAND_USUAL]> = SmallVec::new();
    let mut sorted: SmallVec<[usize; HAND_USUAL]> = SmallVec::new();
    let mut rest = hash;
    for left in (1..=deck).rev().take(hand) {
        let mut card = (rest % left as u64) as usize;
        rest /= left as u64;
        // The card counts those that are left: step over each that was drawn and lies before it.
        let mut place = 0;
        for own in &sorted {
            if card < *own {
                break;
            }
            card += 1;
            place += 1;
        }
        sorted.insert(place, card);
        drawn.push(card);
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that looks random, the same at every run (SplitMix64).
    fn hash(seed: u64) -> u64 {
        let mut value = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    #[test]
    fn a_hand_has_different_cards_of_the_deck() {
        for seed in 0..2_000 {
            let mut hand = deal(hash(seed), 16, 4).to_vec();
            hand.sort_unstable();
            hand.dedup();
            assert_eq!(hand.len(), 4);
            assert!(hand.iter().all(|card| *card < 16));
        }
        assert_eq!(deal(7, 3, 9).len(), 3, "the whole deck");
    }

    #[test]
    fn every_card_is_drawn_about_as_often() {
        let mut drawn = [0_u32; 64];
        for seed in 0..32_000 {
            for card in deal(hash(seed), 64, 6) {
                drawn[card] += 1;
            }
        }
        // 3,000 each on average; five standard deviations are 270.
        assert!(drawn.iter().all(|count| (2_700..3_300).contains(count)), "{drawn:?}");
    }

    #[test]
    fn hands_seldom_lie_within_an_elephants() {
        let elephant = deal(hash(0), 128, 6);
        let covered = |seed: &u64| deal(hash(*seed), 128, 6).iter().all(|card| elephant.contains(card));
        assert_eq!((1..20_000).filter(covered).count(), 0);
    }
}
