//! Tells what happened: to the record, and to whoever follows the events. Neither is waited for.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::bus::Bus;
use crate::config::RoomKey;
use crate::event::{Present, What};

/// Where events go, and who is inside by what they said: whoever comes back to a room tells of nobody twice.
#[derive(Debug)]
pub struct Herald {
    bus: Arc<Bus>,
    present: HashMap<RoomKey, Present>,
}

impl Herald {
    /// One that goes on after what was recorded of who is inside.
    #[must_use]
    pub fn new(bus: Arc<Bus>, present: HashMap<RoomKey, Present>) -> Self {
        Herald { bus, present }
    }

    /// Who is inside a room by what was told; nobody where nothing was.
    #[must_use]
    pub fn present(&self, room: &RoomKey) -> Option<&Present> {
        self.present.get(room)
    }

    /// Something happened in a room.
    pub fn room(&mut self, time: Timestamp, room: &RoomKey, life: Option<&str>, what: What) {
        if let (Some(life), Some(stay)) = (life, what.stay()) {
            let present = self.present.entry(room.clone()).or_insert_with(|| Present::new(life));
            present.note(life, stay);
            if present.people.is_empty() {
                self.present.remove(room);
            }
        }
        self.bus.publish(time, &room.service, Some(&room.name), life, what);
    }

    /// Something happened to a session of a service.
    pub fn session(&self, time: Timestamp, service: &str, what: What) {
        self.bus.publish(time, service, None, None, what);
    }
}
