#!/usr/bin/env python3
"""A toy game server that keeps its rooms on Jitsi, by innkeeper's line protocol. Standard library only.

It says which rooms there are, decides who may be in them, throws people out, and shows who is where. What it is told is
typed on standard input: `help` lists it. See README.md beside this file and docs/line-protocol.md.
"""

import argparse
import itertools
import json
import pathlib
import selectors
import shlex
import socket
import sys
import time

HELP = """who                         shows who is where
open ROOM [NAME ...]        opens a room, for everybody or for these players
close ROOM                  closes it
let NAME into ROOM          puts a player on a room's list
throw NAME out of ROOM      takes them off the list, and throws them out
quit"""


class World:
    """The rooms, who may be in them, and who is."""

    def __init__(self):
        self.rooms = {}  # name: set of players who may be there, or None for everybody
        self.inside = {}  # name: {nick: player}

    def may_enter(self, room, player):
        players = self.rooms.get(room, set())
        return players is None or player in players

    def people(self, room):
        return self.inside.setdefault(room, {})


def player_of(person):
    """The name that a player goes by."""
    return person.get("display_name") or person["nick"]


class Line:
    """A connection to innkeeper: an object goes out as a line, lines come in as objects."""

    def __init__(self, address, secret):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address[len("unix:") :])
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.socket.settimeout(10)
        self.rest = b""
        self.numbers = itertools.count(1)
        self.say({"auth": secret})

    def say(self, what):
        self.socket.sendall(json.dumps(what).encode() + b"\n")

    def ask(self, command, **more):
        """Asks for something; its answer bears the number that is returned."""
        number = next(self.numbers)
        self.say({"command": command, "seq": number, **more})
        return number

    def hear(self):
        """All whole lines that have come; None is the end."""
        data = self.socket.recv(65536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line.strip()]


class Game:
    def __init__(self, prefix):
        self.prefix = prefix
        self.world = World()
        self.line = None
        self.last_event = None
        self.revision = 0
        self.kicks = {}  # number of the request: (player, room)

    def tell(self, text):
        print(text, flush=True)

    def jitsi(self, room):
        """The room's name on Jitsi."""
        return self.prefix + room

    def ours(self, room):
        """The room's name here."""
        return room[len(self.prefix) :]

    # what innkeeper says

    def connected(self, line):
        self.line = line
        follow = {"after": self.last_event} if self.last_event else {}
        line.ask("follow", room=self.prefix + "*", kind="occupant.*,room.*", **follow)
        self.desire()

    def desire(self):
        """Says which rooms there are. The same list twice does nothing, so it is said whenever it may be news."""
        # Seconds go on counting over a restart of ours; two changes in one second still differ.
        self.revision = max(self.revision + 1, int(time.time()))
        rooms = [self.jitsi(room) for room in sorted(self.world.rooms)]
        self.line.ask("desire", revision=self.revision, rooms=rooms, really_empty=True)
        for room in rooms:
            self.line.ask("room", room=room)

    def heard(self, said):
        if "ask" in said:
            self.asked(said)
        elif "event" in said:
            self.happened(said["event"])
        elif said.get("reply") == "room":
            self.looked(said)
        elif said.get("reply") == "acted" and said.get("seq") in self.kicks:
            player, room = self.kicks.pop(said["seq"])
            self.tell(f"{player} is out of {room}")
        elif said.get("reply") in ("refused", "dropped"):
            player, room = self.kicks.pop(said.get("seq"), (None, None))
            about = f"{player} stays in {room}: " if player else ""
            self.tell(f"! {about}{said.get('text')}")

    def asked(self, question):
        """May somebody be in a room?"""
        room, player = self.ours(question["room"]), player_of(question["person"])
        if self.world.may_enter(room, player):
            self.tell(f"{player} may be in {room}")
            verdict = {"verdict": "allow"}
        else:
            self.tell(f"{player} may not be in {room}")
            verdict = {"verdict": "deny", "reason": f"The door of {room} is shut to you."}
        # Asked again each time: a player may have found the key meanwhile.
        self.line.ask("answer", ask=question["ask"], for_seconds=0, **verdict)

    def happened(self, event):
        self.last_event = event["id"]
        room, kind = self.ours(event.get("room", "")), event["kind"]
        if kind == "room.held":
            self.tell(f"{room} is open")
        elif kind in ("room.lost", "room.released"):
            self.world.people(room).clear()
            self.tell(f"{room} is closed")
        elif kind.startswith("occupant."):
            person = event["person"]
            if person.get("machine"):
                return
            people = self.world.people(room)
            if kind == "occupant.left":
                if people.pop(person["nick"], None):
                    self.tell(f"{player_of(person)} leaves {room}")
            else:
                people.pop(event.get("old_nick"), None)
                known = people.get(person["nick"])
                people[person["nick"]] = player_of(person)
                if not known:
                    self.tell(f"{player_of(person)} comes into {room}")

    def looked(self, reply):
        people = self.world.people(self.ours(reply["name"]))
        people.clear()
        for one in reply["occupants"]:
            if not one["kind"]:
                people[one["nick"]] = one.get("display_name") or one["nick"]

    # what is typed

    def typed(self, text):
        match shlex.split(text):
            case []:
                pass
            case ["who"]:
                for room in sorted(self.world.rooms):
                    names = sorted(self.world.people(room).values())
                    self.tell(f"{room}: {', '.join(names) or 'nobody'}")
                self.tell("that is all")
            case ["open", room, *players]:
                self.world.rooms[room] = set(players) or None
                self.desire()
            case ["close", room] if room in self.world.rooms:
                del self.world.rooms[room]
                self.desire()
            case ["let", player, "into", room] if room in self.world.rooms:
                if self.world.rooms[room] is not None:
                    self.world.rooms[room].add(player)
                self.tell(f"{player} is on the list of {room}")
            case ["throw", player, "out", "of", room, *why]:
                self.throw(player, room, " ".join(why))
            case ["quit"]:
                return False
            case _:
                self.tell(HELP)
        return True

    def throw(self, player, room, why):
        if self.world.rooms.get(room) is not None:
            self.world.rooms[room].discard(player)
        nicks = [nick for nick, name in self.world.people(room).items() if name == player]
        if not nicks:
            self.tell(f"! {player} is not in {room}")
        for nick in nicks:
            number = self.line.ask("act", room=self.jitsi(room), action="kick", nick=nick, reason=why)
            self.kicks[number] = (player, room)


def connect(address, secret):
    """A line, however long it takes until somebody answers."""
    wait = 0.2
    while True:
        try:
            return Line(address, secret)
        except OSError as error:
            print(f"! no innkeeper at {address}: {error}", flush=True)
            time.sleep(wait)
            wait = min(wait * 2, 10)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--connect", default="127.0.0.1:8310", help="ADDRESS:PORT or unix:PATH of innkeeper's [[line]]")
    options.add_argument("--secret-file", required=True, type=pathlib.Path)
    options.add_argument("--prefix", default="game-", help="what the rooms' names begin with on Jitsi")
    options = options.parse_args()
    secret = options.secret_file.read_text().strip()
    game = Game(options.prefix)
    line = connect(options.connect, secret)
    game.connected(line)
    chosen = selectors.DefaultSelector()
    chosen.register(sys.stdin, selectors.EVENT_READ)
    chosen.register(line.socket, selectors.EVENT_READ)
    while True:
        for key, _ in chosen.select():
            if key.fileobj is sys.stdin:
                text = sys.stdin.readline()
                if not text or not game.typed(text):
                    return
                continue
            try:
                heard = line.hear()
            except OSError:
                heard = None
            if heard is None:
                chosen.unregister(line.socket)
                line.socket.close()
                line = connect(options.connect, secret)
                chosen.register(line.socket, selectors.EVENT_READ)
                game.connected(line)
                continue
            for said in heard:
                game.heard(said)


if __name__ == "__main__":
    main()
