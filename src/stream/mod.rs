//! One XML stream being set up, over elements. Pure.
