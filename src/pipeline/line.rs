//! Sends parcels through a line of stages, worked by so many threads, with the same result however many.
//!
//! Takes:  the stage that fills parcels, and those that take each of them, in order
//! Gives:  the first error, if there is one
//! Never:  has two threads in one stage; hands parcels on in another order; has more than two parcels for each thread, and two more
//!
//! No stage has a thread of its own. Whoever is free takes the stage furthest down the line that has something waiting: so all are busy
//! however unlike the stages are, most parcels are taken on by the thread that has them at hand, and few wait in between.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use super::Error;

/// Takes a parcel, and leaves in it what the next stage needs.
pub(super) type Stage<'a, P> = Box<dyn FnMut(&mut P) -> Result<(), Error> + Send + 'a>;

/// Runs the line until `fill` has no more (`false`; it has left the parcel empty then) and the last parcel has come to the end. A parcel
/// comes back to `fill` as the last stage left it, so that its room is used again.
pub(super) fn run<'a, P: Default + Send + 'a>(
    threads: usize,
    fill: impl FnMut(&mut P) -> Result<bool, Error> + Send + 'a,
    stages: impl IntoIterator<Item = Stage<'a, P>>,
) -> Result<(), Error> {
    let mut line: Vec<Station<'a, P>> = vec![Station::new(fill)];
    let stations = stages
        .into_iter()
        .map(|mut stage| Station::new(move |parcel: &mut P| stage(parcel).map(|()| true)));
    line.extend(stations);
    let threads = threads.clamp(1, line.len());
    let parcels = if threads == 1 { 1 } else { 2 * threads + 2 };
    for filler in line.iter_mut().take(1) {
        filler.waiting = (0..parcels).map(|_| P::default()).collect();
    }
    let line = Line {
        state: Mutex::new(State {
            stations: line,
            parcels,
            error: None,
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        let helper = |_| {
            thread::Builder::new()
                .spawn_scoped(scope, || line.work())
                .ok()
        };
        // Where the system has no thread to give, those that there are do the work.
        let helpers: Vec<_> = (1..threads).map_while(helper).collect();
        line.work();
        let joined: Vec<_> = helpers.into_iter().map(ScopedJoinHandle::join).collect();
        if let Some(panic) = joined.into_iter().find_map(Result::err) {
            resume_unwind(panic);
        }
    });
    line.lock().error.take().map_or(Ok(()), Err)
}

struct Line<'a, P> {
    state: Mutex<State<'a, P>>,
    changed: Condvar,
}

struct State<'a, P> {
    /// None are left after an error or a panic.
    stations: Vec<Station<'a, P>>,
    /// How many there are in all.
    parcels: usize,
    error: Option<Error>,
}

/// A stage and the parcels in front of it, the next one first.
struct Station<'a, P> {
    /// `None` while a thread is in it, and once it has no more to fill parcels with.
    stage: Option<Work<'a, P>>,
    waiting: VecDeque<P>,
}

/// A stage; whether there was anything to do.
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
        self.stations
            .first()
            .is_none_or(|fill| fill.stage.is_none() && fill.waiting.len() == self.parcels)
    }

    /// The station furthest down the line where something can be done now.
    fn furthest(&self) -> Option<usize> {
        let ready = |s: &Station<'_, P>| s.stage.is_some() && !s.waiting.is_empty();
        self.stations.iter().rposition(ready)
    }

    /// Takes a stage and its parcel out of the line.
    fn take(&mut self) -> Option<(usize, Work<'a, P>, P)> {
        let place = self.furthest()?;
        let station = self.stations.get_mut(place)?;
        Some((place, station.stage.take()?, station.waiting.pop_front()?))
    }

    /// Puts them back, the parcel in front of the next stage.
    fn put(&mut self, place: usize, stage: Work<'a, P>, parcel: P, more: bool) {
        if let Some(station) = self.stations.get_mut(place).filter(|_| more) {
            station.stage = Some(stage);
        }
        let next = if more { place + 1 } else { place };
        if next < self.stations.len() && next > 0 {
            self.stations[next].waiting.push_back(parcel);
        } else if let Some(fill) = self.stations.first_mut() {
            // What was used last is at hand.
            fill.waiting.push_front(parcel);
        }
    }

    fn give_up(&mut self, error: Option<Error>) {
        self.stations.clear();
        self.error = self.error.take().or(error);
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
            let outcome = stage(&mut parcel);
            state = self.lock();
            match outcome {
                Ok(more) => state.put(place, stage, parcel, more),
                Err(error) => state.give_up(Some(error)),
            }
        }
        self.changed.notify_all();
    }
}

/// A thread that panics ends the line for all others.
struct StopsOthers<'l, 'a, P>(&'l Line<'a, P>);

impl<P> Drop for StopsOthers<'_, '_, P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().give_up(None);
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Twenty parcels through three stages.
    #[test]
    fn parcels_arrive_in_order_and_their_rooms_come_back() {
        for threads in [1, 2, 3, 9] {
            let (mut next, mut new_rooms, mut taken) = (0..20, 0, Vec::new());
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
            assert_eq!(taken, (0..20).flat_map(|n| [n, n]).collect::<Vec<_>>());
            assert!(new_rooms <= 2 * threads + 2, "{new_rooms} rooms");
        }
    }

    #[test]
    fn an_error_of_any_stage_ends_the_line() {
        for threads in [1, 2, 4] {
            for wrong in 0..3 {
                let refuse = move |place| match place == wrong {
                    true => Err(Error::Refused(format!("stage {wrong}"))),
                    false => Ok(()),
                };
                let stage = |place| -> Stage<'_, u32> { Box::new(move |_| refuse(place)) };
                let outcome = run(threads, |_| refuse(0).map(|()| true), [stage(1), stage(2)]);
                assert_eq!(outcome.unwrap_err().to_string(), format!("stage {wrong}"));
            }
        }
    }

    #[test]
    fn a_panic_in_any_thread_ends_the_line() {
        for threads in [1, 2, 4] {
            let taken = AtomicUsize::new(0);
            let panic = std::panic::catch_unwind(|| {
                let stage: Stage<'_, u32> = Box::new(|_| {
                    let before = taken.fetch_add(1, Ordering::Relaxed);
                    assert!(before < 5, "that was enough");
                    Ok(())
                });
                run(threads, |_| Ok(true), [stage])
            });
            let said = panic.unwrap_err();
            assert_eq!(said.downcast_ref(), Some(&"that was enough"));
        }
    }
}
