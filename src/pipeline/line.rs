//! Sends parcels through a line of stages, worked by so many threads, with the same result however many.
//!
//! Takes:  the stage that fills parcels, and those that take each of them, in order
//! Gives:  the error that one thread would meet first, if there is one
//! Never:  has two threads in one stage; hands parcels on in another order; has more than two parcels for each thread, and two more
//!
//! No stage has a thread of its own. Whoever is free takes the stage furthest down the line that has something waiting: so all are busy
//! however unlike the stages are, most parcels are taken on by the thread that has them at hand, and few wait in between.

use std::collections::VecDeque;
use std::iter::once;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::Error;
use super::each::together;

/// Takes a parcel, and leaves in it what the next stage needs.
pub(super) type Stage<'a, P> = Box<dyn FnMut(&mut P) -> Result<(), Error> + Send + 'a>;

/// Runs the line until `fill` has no more (`false`) and the last parcel has come to the end. After an error, parcels in front of the one that
/// met it still come there. A parcel comes back to `fill` as the last stage left it, so that its room is used again.
pub(super) fn run<'a, P: Default + Send + 'a>(
    threads: usize,
    fill: impl FnMut(&mut P) -> Result<bool, Error> + Send + 'a,
    stages: impl IntoIterator<Item = Stage<'a, P>>,
) -> Result<(), Error> {
    let stages: Vec<_> = stages
        .into_iter()
        .map(|mut stage| Station::new(move |parcel: &mut P| stage(parcel).map(|()| true)))
        .collect();
    let threads = threads.clamp(1, 1 + stages.len());
    let parcels = if threads == 1 { 1 } else { 2 * threads + 2 };
    let mut filler = Station::new(fill);
    filler.waiting.resize_with(parcels, P::default);
    let line = Line {
        state: Mutex::new(State {
            stations: once(filler).chain(stages).collect(),
            closed: 0,
            at_work: 0,
            panicked: false,
            error: None,
        }),
        changed: Condvar::new(),
    };
    together(threads, || line.work());
    line.lock().error.take().map_or(Ok(()), Err)
}

struct Line<'a, P> {
    state: Mutex<State<'a, P>>,
    changed: Condvar,
}

struct State<'a, P> {
    stations: Vec<Station<'a, P>>,
    /// So many at the front do nothing any more: there is nothing to fill parcels with, or one of them has met an error. Parcels that are
    /// behind them go on to the end of the line.
    closed: usize,
    /// Stages in the hands of a thread.
    at_work: usize,
    panicked: bool,
    /// Of all, that which one thread would meet first: of the parcel that was filled first.
    error: Option<Error>,
}

/// A stage and the parcels in front of it, the next one first.
struct Station<'a, P> {
    /// `None` while a thread has it.
    stage: Option<Work<'a, P>>,
    waiting: VecDeque<P>,
}

/// A stage; the first one says whether there was anything to do.
type Work<'a, P> = Box<dyn FnMut(&mut P) -> Result<bool, Error> + Send + 'a>;

impl<'a, P> Station<'a, P> {
    fn new(stage: impl FnMut(&mut P) -> Result<bool, Error> + Send + 'a) -> Self {
        Self {
            stage: Some(Box::new(stage)),
            waiting: VecDeque::new(),
        }
    }
}

impl<'a, P> State<'a, P> {
    /// Whether nothing is left to be done, now or later.
    fn is_over(&self) -> bool {
        self.panicked || (self.at_work == 0 && self.furthest().is_none())
    }

    /// The station furthest down the line where something can be done now.
    fn furthest(&self) -> Option<usize> {
        let ready = |s: &Station<'_, P>| s.stage.is_some() && !s.waiting.is_empty();
        let open = self.stations.get(self.closed..).unwrap_or(&[]);
        Some(self.closed + open.iter().rposition(ready)?)
    }

    /// Takes a stage and its parcel out of the line.
    fn take(&mut self) -> Option<(usize, Work<'a, P>, P)> {
        let place = self.furthest()?;
        let station = self.stations.get_mut(place)?;
        let job = (place, station.stage.take()?, station.waiting.pop_front()?);
        self.at_work += 1;
        Some(job)
    }

    /// Puts them back, the parcel in front of the next stage.
    fn put(&mut self, (place, stage, parcel): (usize, Work<'a, P>, P), done: Result<bool, Error>) {
        self.at_work -= 1;
        if place < self.closed {
            return;
        }
        match done {
            Ok(true) => {}
            Ok(false) => {
                self.closed = place + 1;
                return;
            }
            Err(error) => {
                self.closed = place + 1;
                self.error = Some(error);
                return;
            }
        }
        if let Some(station) = self.stations.get_mut(place) {
            station.stage = Some(stage);
        }
        match self.stations.get_mut(place + 1) {
            Some(next) => next.waiting.push_back(parcel),
            None => {
                // What was used last is at hand.
                if let Some(fill) = self.stations.first_mut() {
                    fill.waiting.push_front(parcel);
                }
            }
        }
    }
}

impl<'a, P> Line<'a, P> {
    fn lock(&self) -> MutexGuard<'_, State<'a, P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what there is to do until all is done.
    fn work(&self) {
        let _others = StopsOthers(self);
        let mut state = self.lock();
        while !state.is_over() {
            let Some((place, mut stage, mut parcel)) = state.take() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if state.furthest().is_some() {
                self.changed.notify_one();
            }
            drop(state);
            let done = stage(&mut parcel);
            state = self.lock();
            state.put((place, stage, parcel), done);
        }
        self.changed.notify_all();
    }
}

/// A thread that panics ends the line for all others.
struct StopsOthers<'l, 'a, P>(&'l Line<'a, P>);

impl<P> Drop for StopsOthers<'_, '_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().panicked = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn parcels_arrive_in_order_and_their_rooms_come_back() {
        for threads in [1, 2, 3, 9] {
            let (mut next, mut new_rooms, mut taken) = (0..200, 0, Vec::new());
            let fill = |parcel: &mut Vec<u32>| {
                new_rooms += usize::from(parcel.capacity() == 0);
                parcel.clear();
                parcel.extend(next.next());
                Ok(!parcel.is_empty())
            };
            let double: Stage<'_, Vec<u32>> = Box::new(|parcel| {
                parcel.extend_from_within(..);
                Ok(())
            });
            let keep: Stage<'_, Vec<u32>> = Box::new(|parcel| {
                taken.extend_from_slice(parcel);
                Ok(())
            });
            run(threads, fill, [double, keep]).unwrap();
            assert_eq!(taken, (0..200).flat_map(|n| [n, n]).collect::<Vec<_>>());
            // No more than three threads find a stage.
            let most = [1, 6, 8][threads.min(3) - 1];
            assert!((1..=most).contains(&new_rooms), "{new_rooms} rooms");
        }
    }

    #[test]
    fn an_error_is_the_first_that_one_thread_would_meet_and_what_was_before_it_arrives() {
        for threads in [1, 2, 3, 4] {
            for wrong in 0..4 {
                // Parcel 50 meets it, the next one would in front of it.
                let refuse = |place: usize, n: u32| {
                    let refused = (place == wrong && n == 50) || (place < wrong && n == 51);
                    match refused {
                        true => Err(Error::Refused(format!("stage {place}"))),
                        false => Ok(()),
                    }
                };
                let (mut next, mut taken) = (0.., 0);
                let fill = |n: &mut u32| {
                    *n = next.next().unwrap();
                    refuse(0, *n).map(|()| true)
                };
                let between = |place| -> Stage<'_, u32> { Box::new(move |n| refuse(place, *n)) };
                let last: Stage<'_, u32> = Box::new(|n| {
                    refuse(3, *n)?;
                    taken += 1;
                    Ok(())
                });
                let outcome = run(threads, fill, [between(1), between(2), last]);
                assert_eq!(outcome.unwrap_err().to_string(), format!("stage {wrong}"));
                assert_eq!(taken, 50, "{threads} threads, stage {wrong}");
            }
        }
    }

    #[test]
    fn a_panic_in_any_stage_ends_the_line() {
        for threads in [1, 2, 3] {
            for wrong in 0..3 {
                let taken = AtomicUsize::new(0);
                let count = |place| {
                    let before = taken.fetch_add(usize::from(place == wrong), Ordering::Relaxed);
                    assert!(before < 5, "that was enough");
                    Ok(())
                };
                let panic = std::panic::catch_unwind(|| {
                    let stage = |place| -> Stage<'_, u32> { Box::new(move |_| count(place)) };
                    run(threads, |_| count(0).map(|()| true), [stage(1), stage(2)])
                });
                let said = panic.unwrap_err();
                assert_eq!(said.downcast_ref(), Some(&"that was enough"));
            }
        }
    }
}
