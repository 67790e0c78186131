//! Makes something of each of many things, in so many threads, with the same result however many.
//!
//! Takes:  the things, and what is to be made of one
//! Gives:  what was made, in their order
//! Never:  makes two things one after the other where a thread is idle; fails where the system gives fewer threads

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Has this thread and others, so many together or as many as the system gives, do the same work; what each of them gives. The first panic of
/// another one is handed on.
pub(super) fn together<R: Send>(threads: usize, work: impl Fn() -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let helper = |_| thread::Builder::new().spawn_scoped(scope, &work).ok();
        let helpers: Vec<_> = (1..threads).map_while(helper).collect();
        let mut done = vec![work()];
        for helper in helpers {
            done.push(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

/// See the head of this file.
pub(super) fn each<T: Send, R: Send>(
    threads: usize,
    things: Vec<T>,
    make: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.min(things.len());
    let left = Mutex::new(things.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Vec<(usize, R)> {
        std::iter::from_fn(next)
            .map(|(place, thing)| (place, make(thing)))
            .collect()
    };
    let mut made: Vec<_> = together(threads, work).into_iter().flatten().collect();
    made.sort_unstable_by_key(|(place, _)| *place);
    made.into_iter().map(|(_, thing)| thing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_made_once_and_in_order() {
        for threads in [0, 1, 2, 3, 40] {
            for things in [0, 1, 30] {
                let made = each(threads, (0..things).collect(), |n| 2 * n);
                assert_eq!(made, (0..things).map(|n| 2 * n).collect::<Vec<_>>());
            }
        }
    }
}
