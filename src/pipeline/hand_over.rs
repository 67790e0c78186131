//! Runs a maker and a taker: each in a thread of its own, or both in one, with the same result.
//!
//! Takes:  two closures that share a kind of parcel
//! Gives:  what the maker returns, or the first error
//! Never:  has more than [`UNDER_WAY`] parcels

use super::Error;

/// Parcels in being at one time.
pub(super) const UNDER_WAY: usize = 4;

/// Runs `make`, which hands each parcel over with the function that it is given; `take` gets them in order.
///
/// Handing over may leave an earlier parcel in the place of the one handed over, as the taker left it, so that a parcel's room is used again.
pub(super) fn hand_over<P: Default + Send, R: Send>(
    alone: bool,
    make: impl FnOnce(&mut dyn FnMut(&mut P) -> Result<(), Error>) -> Result<R, Error> + Send,
    mut take: impl FnMut(&mut P) -> Result<(), Error>,
) -> Result<R, Error> {
    if alone {
        return make(&mut take);
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

    #[test]
    fn parcels_arrive_in_order_and_their_rooms_come_back() {
        for alone in [true, false] {
            let (mut taken, mut rooms) = (Vec::<u32>::new(), 0);
            hand_over(
                alone,
                |give: &mut dyn FnMut(&mut Vec<u32>) -> Result<(), Error>| {
                    let mut parcel = Vec::new();
                    for n in 0..20 {
                        parcel.clear();
                        rooms += usize::from(parcel.capacity() == 0);
                        parcel.push(n);
                        give(&mut parcel)?;
                    }
                    Ok(())
                },
                |parcel| {
                    taken.extend(&*parcel);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(taken, (0..20).collect::<Vec<_>>());
            assert!(rooms <= UNDER_WAY, "{rooms} rooms");
        }
    }

    #[test]
    fn the_takers_error_ends_the_maker() {
        for alone in [true, false] {
            let outcome = hand_over::<u32, ()>(
                alone,
                |give| loop {
                    give(&mut 0)?;
                },
                |_| Err(Error::Refused("full".to_owned())),
            );
            assert_eq!(outcome.unwrap_err().to_string(), "full");
        }
    }
}
