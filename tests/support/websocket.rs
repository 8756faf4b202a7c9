//! WebSocket frames, the client's side (RFC 6455 §5), for the raw clients: whole text messages, nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;

/// What is read and not yet a whole frame.
#[derive(Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Upgrades a connection to `xmpp` (RFC 7395 §3.1).
    ///
    /// # Errors
    /// The server does not want to; in its own words.
    pub fn upgrade(tcp: &mut TcpStream, query: &str) -> Result<Frames, String> {
        let request = format!(
            "GET /xmpp-websocket{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: xmpp\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        tcp.set_read_timeout(Some(super::client::PATIENCE)).map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tcp.read_exact(&mut byte).map_err(|error| format!("no answer to the upgrade: {error}"))?;
            answer.push(byte[0]);
        }
        match answer.starts_with(b"HTTP/1.1 101") {
            true => Ok(Frames::default()),
            false => Err(String::from_utf8_lossy(&answer).into_owned()),
        }
    }

    /// A stanza as a masked text frame; its namespace is added where it is left out (RFC 7395 §3.3.3).
    pub fn text(message: &str) -> Vec<u8> {
        let name = message.trim_start_matches('<').split([' ', '/', '>']).next().unwrap_or_default();
        let tag = message.split('>').next().unwrap_or_default();
        if !["iq", "message", "presence"].contains(&name) || tag.contains(" xmlns=") {
            return frame(1, message.as_bytes());
        }
        let (before, after) = message.split_at(name.len() + 1);
        frame(1, format!("{before} xmlns='jabber:client'{after}").as_bytes())
    }

    /// Takes what was read and returns the messages that are whole, and what must be answered (pongs).
    ///
    /// # Errors
    /// The server closed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(Vec<Vec<u8>>, Vec<u8>), String> {
        self.buffer.extend_from_slice(bytes);
        let (mut messages, mut answers) = (Vec::new(), Vec::new());
        while let Some((opcode, start, end)) = header(&self.buffer) {
            if self.buffer.len() < end {
                break;
            }
            let payload = self.buffer[start..end].to_vec();
            self.buffer.drain(..end);
            match opcode {
                8 => return Err("the server closed the WebSocket".into()),
                9 => answers.extend(frame(10, &payload)),
                1 => messages.push(payload),
                _ => (),
            }
        }
        Ok((messages, answers))
    }
}

/// Opcode, start and end of the payload of the first frame, once its header is there.
fn header(buffer: &[u8]) -> Option<(u8, usize, usize)> {
    let opcode = buffer.first()? & 0x0f;
    let (start, length) = match *buffer.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((opcode, start, start + length))
}

/// One whole frame, masked with zeros, which is a mask, too.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
