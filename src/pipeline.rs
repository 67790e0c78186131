//! Joins the stages; the only place that does.
