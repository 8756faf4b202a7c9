//! Tells what happened: to the record, and to whoever follows the events. Neither is waited for.

use std::sync::Arc;

use jiff::Timestamp;

use super::bus::Bus;
use crate::config::RoomKey;
use crate::event::What;

/// Where events go.
#[derive(Debug, Clone)]
pub struct Herald {
    /// To the record, and to readers.
    pub bus: Arc<Bus>,
}

impl Herald {
    /// Something happened in a room.
    pub fn room(&self, time: Timestamp, room: &RoomKey, life: Option<&str>, what: What) {
        self.tell(time, &room.service, Some(&room.name), life, what);
    }

    /// Something happened to a session of a service.
    pub fn session(&self, time: Timestamp, service: &str, what: What) {
        self.tell(time, service, None, None, what);
    }

    fn tell(&self, time: Timestamp, service: &str, room: Option<&str>, life: Option<&str>, what: What) {
        self.bus.publish(time, service, room, life, what);
    }
}
