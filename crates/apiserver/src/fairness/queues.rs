//! The queues of one level: who waits, and who is next. Pure: seats and times are told by the caller.
//!
//! Start-time fair queueing: each queue has a start tag in seat-nanoseconds. The queue with the least tag is served next
//! and its tag grows by what the request is expected to take; what it really took is settled when it ends. A queue that
//! becomes busy starts at the present tag: it neither owes nor has saved anything.
//!
//! Invariants: a request waits in one queue of its flow's hand; the head of the next queue is never passed by; at most
//! `length_max` wait in a queue.

use super::shuffle::deal;
use std::collections::VecDeque;
use std::time::Duration;

/// What a request is expected to take until it has been seen to end, as upstream guesses.
const EXPECTED: Duration = Duration::from_millis(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// None: nobody waits.
    pub(super) queues: usize,
    pub(super) hand: usize,
    pub(super) length_max: usize,
}

impl Shape {
    pub(super) const REJECT: Shape = Shape { queues: 0, hand: 0, length_max: 0 };
}

/// Where a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) queue: usize,
    ticket: u64,
}

struct Waiting<W> {
    ticket: u64,
    width: u32,
    waiter: W,
}

struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    start: u64,
    /// Of those who came through this queue and are being served.
    seats_executing: u32,
}

impl<W> Default for Queue<W> {
    fn default() -> Queue<W> {
        Queue { waiting: VecDeque::new(), start: 0, seats_executing: 0 }
    }
}

impl<W> Queue<W> {
    fn seats(&self) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|own| u64::from(own.width)).sum();
        waiting + u64::from(self.seats_executing)
    }

    fn idle(&self) -> bool {
        self.waiting.is_empty() && self.seats_executing == 0
    }
}

pub(super) struct Queues<W> {
    shape: Shape,
    queues: Vec<Queue<W>>,
    /// The greatest start tag that was served.
    present: u64,
    /// The queue that was served last: among equals the next one is served.
    turn: usize,
    tickets: u64,
    seats_waiting: u32,
}

fn cost(width: u32, time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(u64::from(width))
}

impl<W> Queues<W> {
    pub(super) fn new(shape: Shape) -> Queues<W> {
        let mut queues = Queues { shape, queues: Vec::new(), present: 0, turn: 0, tickets: 0, seats_waiting: 0 };
        queues.reshape(shape);
        queues
    }

    /// Queues that are no more dealt are served until they are empty.
    pub(super) fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
        let busy = self.queues.iter().rposition(|queue| !queue.idle()).map_or(0, |last| last + 1);
        self.queues.resize_with(shape.queues.max(busy), Queue::default);
    }

    pub(super) fn queueing(&self) -> bool {
        self.shape.queues > 0
    }

    pub(super) fn seats_waiting(&self) -> u32 {
        self.seats_waiting
    }

    /// Puts a request into the least burdened queue of its flow's hand; gives the waiter back if that is full.
    pub(super) fn enqueue(&mut self, flow: u64, width: u32, waiter: W) -> Result<Place, W> {
        let hand = deal(flow, self.shape.queues, self.shape.hand);
        let Some(index) = hand.into_iter().min_by_key(|card| self.queues[*card].seats()) else { return Err(waiter) };
        let queue = &mut self.queues[index];
        if queue.waiting.len() >= self.shape.length_max {
            return Err(waiter);
        }
        if queue.idle() {
            queue.start = self.present;
        }
        self.tickets += 1;
        queue.waiting.push_back(Waiting { ticket: self.tickets, width, waiter });
        self.seats_waiting += width;
        Ok(Place { queue: index, ticket: self.tickets })
    }

    /// The next request, if `take` has its seats: who waits, and how wide.
    pub(super) fn next(&mut self, take: impl FnOnce(u32) -> bool) -> Option<(W, u32)> {
        let count = self.queues.len();
        let turns = (1..=count).map(|step| (self.turn + step) % count);
        let busy = turns.filter(|index| !self.queues[*index].waiting.is_empty());
        let index = busy.min_by_key(|index| self.queues[*index].start)?;
        let queue = &mut self.queues[index];
        if !take(queue.waiting.front()?.width) {
            return None;
        }
        let Waiting { width, waiter, .. } = queue.waiting.pop_front()?;
        self.turn = index;
        self.present = self.present.max(queue.start);
        queue.start = queue.start.saturating_add(cost(width, EXPECTED));
        queue.seats_executing += width;
        self.seats_waiting -= width;
        Some((waiter, width))
    }

    /// Whether the request still waited.
    pub(super) fn cancel(&mut self, place: Place) -> bool {
        let Some(queue) = self.queues.get_mut(place.queue) else { return false };
        let Some(at) = queue.waiting.iter().position(|own| own.ticket == place.ticket) else { return false };
        if let Some(gone) = queue.waiting.remove(at) {
            self.seats_waiting -= gone.width;
        }
        true
    }

    /// A request that came through this queue has ended.
    pub(super) fn finished(&mut self, queue: usize, width: u32, took: Duration) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        queue.seats_executing = queue.seats_executing.saturating_sub(width);
        let settled = queue.start.saturating_sub(cost(width, EXPECTED));
        queue.start = settled.saturating_add(cost(width, took));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { queues: 16, hand: 2, length_max: 4 };
    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Serves one after the other, each as long as `took` says, and tells whose turn each was.
    fn serve(queues: &mut Queues<&'static str>, count: usize, took: impl Fn(&str) -> Duration) -> Vec<&'static str> {
        let mut served = Vec::new();
        for _ in 0..count {
            let Some((who, width)) = queues.next(|_| true) else { break };
            served.push(who);
            queues.finished(queues.turn, width, took(who));
        }
        served
    }

    /// Two flows whose hands have no queue in common.
    fn apart() -> (u64, u64) {
        let elephant = 5;
        let hand = deal(elephant, SHAPE.queues, SHAPE.hand);
        let mouse = (0..).find(|flow| deal(*flow, SHAPE.queues, SHAPE.hand).iter().all(|card| !hand.contains(card)));
        (elephant, mouse.unwrap())
    }

    #[test]
    fn an_elephant_does_not_keep_a_mouse_waiting() {
        let mut queues = Queues::new(SHAPE);
        let (elephant, mouse) = apart();
        for _ in 0..8 {
            queues.enqueue(elephant, 1, "elephant").unwrap();
        }
        assert_eq!(serve(&mut queues, 3, |_| MILLISECOND).len(), 3, "the elephant has been served before");
        queues.enqueue(mouse, 1, "mouse").unwrap();
        queues.enqueue(mouse, 1, "mouse").unwrap();
        let served = serve(&mut queues, 7, |_| MILLISECOND);
        assert!(served[..2].contains(&"mouse"), "{served:?}");
        // Its second request went to the other queue of its hand.
        assert_eq!(served[..4].iter().filter(|who| **who == "mouse").count(), 2, "{served:?}");
    }

    #[test]
    fn turns_are_by_time_taken_and_by_width() {
        let one = Shape { queues: 2, hand: 1, length_max: 100 };
        let (mut queues, slow, quick) = (Queues::new(one), 0, 1);
        for _ in 0..40 {
            queues.enqueue(slow, 1, "slow").unwrap();
            queues.enqueue(quick, 1, "quick").unwrap();
        }
        let took = |who: &str| if who == "slow" { 9 * MILLISECOND } else { MILLISECOND };
        let served = serve(&mut queues, 40, took);
        assert_eq!(served.iter().filter(|who| **who == "slow").count(), 4, "a tenth of the turns: {served:?}");

        let mut queues = Queues::new(one);
        for _ in 0..40 {
            queues.enqueue(0, 3, "wide").unwrap();
            queues.enqueue(1, 1, "narrow").unwrap();
        }
        let served = serve(&mut queues, 20, |_| MILLISECOND);
        assert_eq!(served.iter().filter(|who| **who == "wide").count(), 5, "a quarter of the turns: {served:?}");
    }

    #[test]
    fn a_full_hand_refuses_and_a_head_is_not_passed_by() {
        let mut queues = Queues::new(SHAPE);
        for _ in 0..8 {
            queues.enqueue(5, 1, ()).unwrap();
        }
        assert_eq!(queues.enqueue(5, 1, ()), Err(()), "two queues of four");
        assert_eq!(queues.seats_waiting(), 8);

        let mut queues = Queues::new(Shape { hand: 1, ..SHAPE });
        queues.enqueue(0, 5, "wide").unwrap();
        queues.enqueue(1, 1, "narrow").unwrap();
        queues.turn = 15;
        assert!(queues.next(|width| width <= 2).is_none(), "the wide one is next and does not fit");
        assert_eq!(queues.next(|_| true), Some(("wide", 5)));
    }

    #[test]
    fn who_left_is_not_served() {
        let mut queues = Queues::new(SHAPE);
        let place = queues.enqueue(5, 2, "gone").unwrap();
        assert!(queues.cancel(place));
        assert!(!queues.cancel(place));
        assert_eq!((queues.seats_waiting(), queues.next(|_| true)), (0, None));
    }

    #[test]
    fn queues_that_are_taken_away_are_served_to_their_end() {
        let mut queues = Queues::new(SHAPE);
        for flow in 0..16 {
            queues.enqueue(flow, 1, flow).unwrap();
        }
        queues.reshape(Shape { queues: 1, hand: 1, length_max: 4 });
        let served = std::iter::from_fn(|| queues.next(|_| true)).count();
        assert_eq!(served, 16);
        queues.reshape(Shape::REJECT);
        assert!(!queues.queueing());
        assert_eq!(queues.enqueue(0, 1, 0), Err(0));
    }
}
