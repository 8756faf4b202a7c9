//! What happened: events, whose JSON is public. Pure.
