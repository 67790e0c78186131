//! Runs a maker and a taker: each in a thread of its own, or both in one, with the same result.
//!
//! Takes:  two closures that share a kind of parcel
//! Gives:  what the maker returns, or the first error
//! Never:  has more than [`UNDER_WAY`] parcels; lets the number of threads be seen in a parcel

use std::collections::VecDeque;

use super::Error;

/// Parcels in being at one time.
pub(super) const UNDER_WAY: usize = 4;

/// Runs `make`, which hands each parcel over with the function that it is given; `take` gets them in order.
///
/// Handing over leaves an earlier parcel in the place of the one handed over, as the taker left it: the one of [`UNDER_WAY`] calls
/// before, or a new one while there were not so many. So a parcel's room is used again, and it may carry an answer back, which
/// arrives after the same number of calls whether the taker has a thread of its own or not.
pub(super) fn hand_over<P: Default + Send, R: Send>(
    alone: bool,
    make: impl FnOnce(&mut dyn FnMut(&mut P) -> Result<(), Error>) -> Result<R, Error> + Send,
    mut take: impl FnMut(&mut P) -> Result<(), Error>,
) -> Result<R, Error> {
    if alone {
        let mut back = VecDeque::with_capacity(UNDER_WAY);
        return make(&mut |parcel| {
            take(parcel)?;
            let next = if back.len() < UNDER_WAY - 1 {
                P::default()
            } else {
                back.pop_front().unwrap_or_default()
            };
            back.push_back(std::mem::replace(parcel, next));
            Ok(())
        });
    }
    let (there_in, there_out) = crossbeam_channel::bounded::<P>(UNDER_WAY);
    let (back_in, back_out) = crossbeam_channel::bounded::<P>(UNDER_WAY);
    std::thread::scope(|scope| {
        let maker = scope.spawn(move || {
            let mut made = 0;
            make(&mut |parcel| {
                made += 1;
                let gone = || Error::Refused("nobody takes the results any more".to_owned());
                there_in.send(std::mem::take(parcel)).map_err(|_| gone())?;
                if made >= UNDER_WAY {
                    *parcel = back_out.recv().map_err(|_| gone())?;
                }
                Ok(())
            })
        });
        let mut taken = Ok(());
        for mut parcel in there_out {
            taken = take(&mut parcel);
            if taken.is_err() {
                // The maker finds its channels closed, and stops.
                break;
            }
            // A maker that has made its last parcel wants none back.
            let _ = back_in.send(parcel);
        }
        drop(back_in);
        let made = maker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.and(made)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A number, and the answer that the taker writes beside it.
    #[derive(Default)]
    struct Parcel(u32, Option<u32>);

    #[test]
    fn answers_come_back_after_the_same_number_of_calls() {
        let run = |alone| {
            let mut taken = Vec::new();
            let answers = hand_over(
                alone,
                |give: &mut dyn FnMut(&mut Parcel) -> Result<(), Error>| {
                    let (mut parcel, mut answers) = (Parcel::default(), Vec::new());
                    for n in 0..20 {
                        answers.push(parcel.1.take());
                        parcel.0 = n;
                        give(&mut parcel)?;
                    }
                    Ok(answers)
                },
                |parcel| {
                    taken.push(parcel.0);
                    parcel.1 = Some(parcel.0);
                    Ok(())
                },
            )
            .unwrap();
            (taken, answers)
        };
        let (taken, answers) = run(true);
        assert_eq!(taken, (0..20).collect::<Vec<_>>());
        assert_eq!(answers[UNDER_WAY - 1], None);
        assert_eq!(answers[UNDER_WAY], Some(0));
        for _ in 0..100 {
            assert_eq!(run(false), (taken.clone(), answers.clone()));
        }
    }

    #[test]
    fn the_takers_error_ends_the_maker() {
        for alone in [true, false] {
            let outcome = hand_over::<Parcel, ()>(
                alone,
                |give| loop {
                    give(&mut Parcel::default())?;
                },
                |_| Err(Error::Refused("full".to_owned())),
            );
            assert_eq!(outcome.unwrap_err().to_string(), "full");
        }
    }
}
