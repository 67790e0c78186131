//! Two captures of the same traffic, or the same traffic before and after a remedy.
