//! Report stage: all that was found in, text for people and for programs out.
//!
//! Takes:  a [`Report`](model::Report)
//! Gives:  text, JSON, …: one file a format
//! Never:  works anything out that is not in the model; prints text from packets unescaped

mod epoch;
pub mod model;
