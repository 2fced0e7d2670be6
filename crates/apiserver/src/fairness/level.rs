//! One priority level at work: its seats, and those who wait for them.
//!
//! Where seats are free and nobody waits, a seat costs an atomic addition and no lock. Lost wakeups are impossible: who
//! waits is counted before looking for free seats, who frees seats looks for waiters after freeing, all in one order.
//! Bounds: the limit of seats, the queues' length, the time of a wait.

use super::borrowing::Share;
use super::queues::{Place, Queues, Shape};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most seats of one request, and the most of its level's seats in percent, as upstream's.
const WIDTH_MAX: u32 = 10;
const WIDTH_PERCENT_MAX: u32 = 15;

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    ConcurrencyLimit,
    QueueFull,
    TimeOut,
}

impl Rejection {
    pub(super) const ALL: [Rejection; 3] = [Rejection::ConcurrencyLimit, Rejection::QueueFull, Rejection::TimeOut];

    pub(super) fn name(self) -> &'static str {
        match self {
            Rejection::ConcurrencyLimit => "concurrency-limit",
            Rejection::QueueFull => "queue-full",
            Rejection::TimeOut => "time-out",
        }
    }
}

/// How a level is configured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    /// `None`: its requests are counted and never limited.
    pub(super) share: Option<Share>,
    pub(super) shape: Shape,
}

pub(super) struct Level {
    pub(super) name: String,
    plan: Mutex<Plan>,
    limit: AtomicU32,
    executing: AtomicU32,
    /// Requests in the queues.
    waiting: AtomicU32,
    /// The most seats that were asked for at once since it was last looked at.
    peak: AtomicU32,
    width_max: AtomicU32,
    queues: Mutex<Queues<oneshot::Sender<()>>>,
}

impl Level {
    pub(super) fn new(name: &str, plan: Plan) -> Level {
        let level = Level {
            name: name.to_owned(),
            plan: Mutex::new(plan),
            limit: AtomicU32::new(0),
            executing: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            peak: AtomicU32::new(0),
            width_max: AtomicU32::new(1),
            queues: Mutex::new(Queues::new(plan.shape)),
        };
        level.apply(plan);
        level
    }

    /// Takes another configuration; what was learned of its demand stays.
    pub(super) fn configure(&self, plan: Plan) {
        let mut own = self.plan.lock();
        let Share { demand, smoothed, .. } = own.share.unwrap_or_default();
        let next = Plan { share: plan.share.map(|share| Share { demand, smoothed, ..share }), ..plan };
        // What is the same keeps the seats that were lent to it.
        if *own != next {
            *own = next;
            drop(own);
            self.apply(plan);
        }
    }

    fn apply(&self, plan: Plan) {
        let nominal = plan.share.map_or(u32::MAX, |share| share.nominal);
        let part = nominal.saturating_mul(WIDTH_PERCENT_MAX).div_ceil(100);
        self.width_max.store(part.clamp(1, WIDTH_MAX), Ordering::Relaxed);
        self.queues.lock().reshape(plan.shape);
        self.set_limit(nominal);
    }

    pub(super) fn nominal(&self) -> Option<u32> {
        self.plan.lock().share.map(|share| share.nominal)
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn seats_executing(&self) -> u32 {
        self.executing.load(Ordering::Relaxed)
    }

    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::SeqCst);
        self.serve_waiting();
    }

    /// Ends a period: its share with the period's demand; `None` where nothing is limited.
    pub(super) fn measure(&self) -> Option<Share> {
        let queues = self.queues.lock();
        let asked = self.executing.load(Ordering::SeqCst).saturating_add(queues.seats_waiting());
        let demand = self.peak.swap(asked, Ordering::Relaxed);
        drop(queues);
        let mut plan = self.plan.lock();
        let share = plan.share.as_mut()?;
        share.demand = demand;
        share.smoothed = Share::smooth(share.smoothed, demand);
        Some(*share)
    }

    /// How many seats a request of so much work has here.
    pub(super) fn width(&self, wanted: u32) -> u32 {
        wanted.clamp(1, self.width_max.load(Ordering::Relaxed))
    }

    fn note_demand(&self, seats: u32) {
        if seats > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(seats, Ordering::Relaxed);
        }
    }

    /// Takes seats if so many are free; a request that is wider than the level has it for itself.
    fn take(&self, width: u32) -> bool {
        let limit = self.limit.load(Ordering::SeqCst);
        let taken = self.executing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |executing| {
            let after = executing.saturating_add(width);
            (executing == 0 || after <= limit).then_some(after)
        });
        if let Ok(before) = taken {
            self.note_demand(before.saturating_add(width));
        }
        taken.is_ok()
    }

    /// Seats at once; not while others wait.
    pub(super) fn enter(&self, width: u32) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take(width)
    }

    /// Gives back what `enter` took.
    pub(super) fn leave(&self, width: u32) {
        self.executing.fetch_sub(width, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.serve_waiting();
        }
    }

    fn serve_waiting(&self) {
        self.serve(&mut self.queues.lock());
    }

    /// Wakes those whose turn it is, as long as there are seats.
    fn serve(&self, queues: &mut Queues<oneshot::Sender<()>>) {
        while let Some((waiter, width)) = queues.next(|width| self.take(width)) {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if waiter.send(()).is_err() {
                self.executing.fetch_sub(width, Ordering::SeqCst);
            }
        }
    }

    fn enqueue(&self, flow: u64, width: u32) -> Result<Ticket<'_>, Rejection> {
        let mut queues = self.queues.lock();
        if !queues.queueing() {
            return Err(Rejection::ConcurrencyLimit);
        }
        let (sender, served) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let Ok(place) = queues.enqueue(flow, width, sender) else {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Rejection::QueueFull);
        };
        self.note_demand(self.executing.load(Ordering::SeqCst).saturating_add(queues.seats_waiting()));
        // Seats may have been freed since this request found none.
        self.serve(&mut queues);
        Ok(Ticket { level: self, place, width, served, settled: false })
    }

    /// Waits in a queue for seats; who stops waiting leaves the queue.
    pub(super) async fn wait(&self, flow: u64, width: u32, longest: Duration) -> Result<Queued, Rejection> {
        let mut ticket = self.enqueue(flow, width)?;
        match tokio::time::timeout(longest, &mut ticket.served).await {
            Ok(Ok(())) => {
                ticket.settled = true;
                Ok(Queued { queue: ticket.place.queue, since: Instant::now() })
            }
            Ok(Err(_)) | Err(_) => Err(Rejection::TimeOut),
        }
    }

    /// Gives back what `wait` got.
    pub(super) fn leave_queued(&self, queued: &Queued, width: u32, now: Instant) {
        let mut queues = self.queues.lock();
        queues.finished(queued.queue, width, now.saturating_duration_since(queued.since));
        self.executing.fetch_sub(width, Ordering::SeqCst);
        self.serve(&mut queues);
    }
}

/// Through which queue a request came, and since when it is served.
#[derive(Debug)]
pub(super) struct Queued {
    queue: usize,
    since: Instant,
}

/// A request in a queue: out of it when it is dropped.
struct Ticket<'a> {
    level: &'a Level,
    place: Place,
    width: u32,
    served: oneshot::Receiver<()>,
    /// Whether the seats are the caller's now.
    settled: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut queues = self.level.queues.lock();
        if queues.cancel(self.place) {
            self.level.waiting.fetch_sub(1, Ordering::SeqCst);
        } else {
            // Its turn came while it was leaving.
            queues.finished(self.place.queue, self.width, Duration::ZERO);
            self.level.executing.fetch_sub(self.width, Ordering::SeqCst);
        }
        self.level.serve(&mut queues);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const WAIT: Duration = Duration::from_secs(15);

    fn level(seats: u32, shape: Shape) -> Level {
        let share = Share { nominal: seats, least: seats, most: seats, ..Share::default() };
        Level::new("test", Plan { share: Some(share), shape })
    }

    fn queueing() -> Shape {
        Shape { queues: 4, hand: 1, length_max: 2 }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn seats_are_limited_and_a_level_without_queues_refuses() {
        let level = level(2, Shape::REJECT);
        assert!(level.enter(1) && level.enter(1) && !level.enter(1));
        assert_eq!(level.wait(0, 1, WAIT).await.err(), Some(Rejection::ConcurrencyLimit));
        level.leave(1);
        assert!(level.enter(1));
    }

    #[tokio::test]
    async fn who_waits_is_served_when_a_seat_is_free_and_nobody_passes_by() {
        let level = level(1, queueing());
        assert!(level.enter(1));
        let mut waiting = pin!(level.wait(0, 1, WAIT));
        assert!(poll(waiting.as_mut()).is_pending());
        level.leave(1);
        assert!(!level.enter(1), "the seat is the waiter's");
        let queued = waiting.await.ok().unwrap();
        assert_eq!(level.seats_executing(), 1);
        level.leave_queued(&queued, 1, Instant::now());
        assert_eq!(level.seats_executing(), 0);
        assert!(level.enter(1));
    }

    #[tokio::test]
    async fn a_wait_ends_after_its_time_and_a_full_queue_refuses() {
        let level = level(1, queueing());
        assert!(level.enter(1));
        let short = Duration::from_millis(5);
        let (mut first, mut second) = (pin!(level.wait(0, 1, short)), pin!(level.wait(0, 1, short)));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert_eq!(level.wait(0, 1, WAIT).await.err(), Some(Rejection::QueueFull));
        assert_eq!(first.await.err(), Some(Rejection::TimeOut));
        assert_eq!(second.await.err(), Some(Rejection::TimeOut));
        level.leave(1);
        assert!(level.enter(1), "nobody waits any more");
    }

    #[tokio::test]
    async fn who_leaves_gives_up_place_or_seats() {
        let level = level(1, queueing());
        assert!(level.enter(1));
        {
            let mut gone = pin!(level.wait(0, 1, WAIT));
            assert!(poll(gone.as_mut()).is_pending());
        }
        {
            let mut served = pin!(level.wait(0, 1, WAIT));
            assert!(poll(served.as_mut()).is_pending());
            level.leave(1);
            assert_eq!(level.seats_executing(), 1, "its turn came, but it is gone before it knows");
        }
        assert_eq!(level.seats_executing(), 0);
    }

    #[tokio::test]
    async fn a_wide_request_has_a_narrow_level_for_itself() {
        let level = level(2, queueing());
        assert_eq!(level.width(50), 1, "15% of two seats, rounded up");
        assert!(level.enter(9), "wider than a level that was made smaller");
        let mut next = pin!(level.wait(0, 1, WAIT));
        assert!(poll(next.as_mut()).is_pending());
        level.leave(9);
        assert!(next.await.is_ok());
    }

    #[tokio::test]
    async fn more_seats_serve_those_who_wait() {
        let level = level(1, queueing());
        assert!(level.enter(1));
        let mut waiting = pin!(level.wait(0, 1, WAIT));
        assert!(poll(waiting.as_mut()).is_pending());
        level.set_limit(2);
        assert!(waiting.await.is_ok());
        assert_eq!(level.measure().unwrap().demand, 2);
    }

    #[test]
    fn an_exempt_level_has_no_limit() {
        let level = Level::new("exempt", Plan { share: None, shape: Shape::REJECT });
        assert!((0..10_000).all(|_| level.enter(10)));
        assert_eq!(level.measure(), None);
    }
}
