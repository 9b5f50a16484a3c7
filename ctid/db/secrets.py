"""Passwords, PINs and tokens: hashed before they are stored, compared without telling anything.

Law: argon2 runs in threads, at most two at once (a password costs 64 MiB and a tenth of a second), so that neither the
event loop nor the memory suffers; an unknown name costs as much as a wrong password.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from secrets import token_urlsafe
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PASSWORDS = PasswordHasher()
# A PIN is keyed in at a telephone in seconds and guarded by its lock-out: a short wait matters more than the hash's cost.
_PINS = PasswordHasher(time_cost=2, memory_cost=8 * 1024, parallelism=1)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


async def hash_password(password: str) -> str:
    return await _in_thread(_PASSWORDS.hash, password)


async def hash_pin(pin: str) -> str:
    return await _in_thread(_PINS.hash, pin)


async def password_fits(stored: str | None, password: str) -> bool:
    """Whether the password is the one hashed; ``None`` (nobody of that name) is refused as slowly as a wrong one."""
    return await _in_thread(_fits, _PASSWORDS, stored, password)


async def pin_fits(stored: str | None, pin: str) -> bool:
    """As ``password_fits``, for PINs."""
    return await _in_thread(_fits, _PINS, stored, pin)


def new_token() -> str:
    """A random token with 256 bits, for a session's cookie or an API client."""
    return token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored of a token: it is random, so a plain digest tells nothing."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _fits(hasher: PasswordHasher, stored: str | None, given: str) -> bool:
    try:
        if stored is None:
            hasher.hash(given)
            return False
        return hasher.verify(stored, given)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


async def _in_thread(function: Callable[[*Ts], T], *arguments: *Ts) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, function, *arguments)
