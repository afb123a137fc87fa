"""Messages of nftables' netlink protocol, several in one transaction: all of them take effect, or none.

Called by `partition` and `probe`. What pyroute2 sends is one message a transaction; what is dropped here must appear
together. Constants: linux/netfilter/nf_tables.h, linux/netfilter.h.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES, nfgen_msg, nftsocket
from pyroute2.nftables.expressions import genex

from breakroom.agent.errors import from_os_error

__all__ = [
    "HOOKS",
    "Message",
    "Nft",
    "accept_on",
    "add_chain",
    "add_elements",
    "add_rule",
    "add_table",
    "add_timed_set",
    "delete_table",
    "drop_listed",
    "only_on",
    "opened",
]

Message = Any
_INET = nftsocket.NFPROTO_INET
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_DROP, _ACCEPT = 0, 1
_INTERFACE_BYTES = 16
_SET_KEY_PROTOCOL = 2
"""nft's own number for the data type `nf_proto`, so that `nft list ruleset` shows the set as it would be written."""
_IN, _OUT = nftsocket.Meta.NFT_META_IIFNAME, nftsocket.Meta.NFT_META_OIFNAME
HOOKS = {"input": 1, "forward": 2, "output": 3}
"""Hooks by name: NF_INET_LOCAL_IN, NF_INET_FORWARD, NF_INET_LOCAL_OUT."""
_PRIORITY = -300
"""Before everything else that filters, so that no other table has accepted a packet already."""


class Nft:
    """One netlink socket in the namespace of the process that opened it."""

    def __init__(self) -> None:
        self._socket = nftsocket.NFTSocket(nfgen_family=_INET)

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def commit(self, messages: Iterable[Message], doing: str) -> None:
        """Do all of it at once.

        Raises:
            ActError: the kernel refused; nothing was done.
        """
        try:
            self._socket.nlm_request_batch([_bracket(_BATCH_BEGIN), *messages, _bracket(_BATCH_END)])
        except NetlinkError as error:
            raise from_os_error(error, doing) from error

    def tables(self) -> list[str]:
        """The names of all tables of family `inet`."""
        found = self._dump(nftsocket.nft_table_msg(), nftsocket.NFT_MSG_GETTABLE)
        return [
            str(one.get_attr("NFTA_TABLE_NAME"))
            for one in found
            if one["nfgen_family"] == _INET and one.get_attr("NFTA_TABLE_NAME")
        ]

    def hooks(self, table: str) -> set[int]:
        """The numbers of the hooks that the table's chains hang on."""
        found = self._dump(nftsocket.nft_chain_msg(), nftsocket.NFT_MSG_GETCHAIN)
        mine = [one for one in found if one.get_attr("NFTA_CHAIN_TABLE") == table]
        hooks = [one.get_attr("NFTA_CHAIN_HOOK") for one in mine]
        return {int(hook.get_attr("NFTA_HOOK_HOOKNUM")) for hook in hooks if hook is not None}

    def counted(self, table: str) -> int:
        """How many packets the table's counters have seen."""
        total = 0
        for rule in self._dump(nftsocket.nft_rule_msg(), nftsocket.NFT_MSG_GETRULE):
            if rule.get_attr("NFTA_RULE_TABLE") != table:
                continue
            for expression in rule.get_attr("NFTA_RULE_EXPRESSIONS") or ():
                if expression.get_attr("NFTA_EXPR_NAME") == "counter":
                    total += int(expression.get_attr("NFTA_EXPR_DATA").get_attr("NFTA_COUNTER_PACKETS"))
        return total

    def expirations_ms(self, table: str, name: str) -> list[int]:
        """For each element of a timed set that has not expired: how long it still holds."""
        request = nftsocket.nft_set_elem_list_msg()
        request["attrs"] = [["NFTA_SET_ELEM_LIST_TABLE", table], ["NFTA_SET_ELEM_LIST_SET", name]]
        left = []
        for part in self._dump(request, nftsocket.NFT_MSG_GETSETELEM):
            elements = part.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS") or ()
            left += [int(element.get_attr("NFTA_SET_ELEM_EXPIRATION") or 0) for element in elements]
        return left

    def _dump(self, request: Message, kind: int) -> list[Any]:
        try:
            return list(self._socket.request_get(request, kind, NLM_F_REQUEST | NLM_F_DUMP))
        except NetlinkError as error:
            raise from_os_error(error, "read nftables") from error


@contextmanager
def opened() -> Iterator[Nft]:
    """A socket for the length of a block.

    Raises:
        ActError: this kernel has no nftables, or it is not allowed.
    """
    try:
        nft = Nft()
    except OSError as error:
        raise from_os_error(error, "speak with nftables") from error
    try:
        yield nft
    finally:
        nft.close()


def add_table(table: str) -> Message:
    """The table, unless it is there."""
    return _message(nftsocket.nft_table_msg, nftsocket.NFT_MSG_NEWTABLE, {"NFTA_TABLE_NAME": table})


def delete_table(table: str) -> Message:
    """The table and everything in it."""
    return _message(nftsocket.nft_table_msg, nftsocket.NFT_MSG_DELTABLE, {"NFTA_TABLE_NAME": table})


def add_chain(table: str, hook: str) -> Message:
    """A chain of the hook's name, on that hook, before all others."""
    place = {"attrs": [["NFTA_HOOK_HOOKNUM", HOOKS[hook]], ["NFTA_HOOK_PRIORITY", _PRIORITY]]}
    attributes = {
        "NFTA_CHAIN_TABLE": table,
        "NFTA_CHAIN_NAME": hook,
        "NFTA_CHAIN_HOOK": place,
        "NFTA_CHAIN_POLICY": _ACCEPT,
        "NFTA_CHAIN_TYPE": "filter",
    }
    return _message(nftsocket.nft_chain_msg, nftsocket.NFT_MSG_NEWCHAIN, attributes)


def add_timed_set(table: str, name: str) -> Message:
    """A set of network protocols whose elements the kernel removes by itself when their time is up."""
    attributes = {
        "NFTA_SET_TABLE": table,
        "NFTA_SET_NAME": name,
        "NFTA_SET_FLAGS": {"NFT_SET_TIMEOUT"},
        "NFTA_SET_KEY_TYPE": _SET_KEY_PROTOCOL,
        "NFTA_SET_KEY_LEN": 1,
        "NFTA_SET_ID": 1,
    }
    return _message(nftsocket.nft_set_msg, nftsocket.NFT_MSG_NEWSET, attributes)


def add_elements(table: str, name: str, milliseconds: int) -> Message:
    """IPv4 and IPv6 into the set, for so long."""
    elements = [
        {
            "attrs": [
                ["NFTA_SET_ELEM_KEY", {"attrs": [["NFTA_DATA_VALUE", bytes([protocol])]]}],
                ["NFTA_SET_ELEM_TIMEOUT", milliseconds],
            ]
        }
        for protocol in (nftsocket.NFPROTO_IPV4, nftsocket.NFPROTO_IPV6)
    ]
    attributes = {
        "NFTA_SET_ELEM_LIST_TABLE": table,
        "NFTA_SET_ELEM_LIST_SET": name,
        "NFTA_SET_ELEM_LIST_ELEMENTS": elements,
    }
    return _message(nftsocket.nft_set_elem_list_msg, nftsocket.NFT_MSG_NEWSETELEM, attributes)


def add_rule(table: str, chain: str, *parts: list[Any]) -> Message:
    """A rule at the chain's end, made of the parts below."""
    expressions = [expression for part in parts for expression in part]
    attributes = {"NFTA_RULE_TABLE": table, "NFTA_RULE_CHAIN": chain, "NFTA_RULE_EXPRESSIONS": expressions}
    return _message(nftsocket.nft_rule_msg, nftsocket.NFT_MSG_NEWRULE, attributes)


def accept_on(interface: str, *, outgoing: bool) -> list[Any]:
    """Let pass what uses that interface."""
    return [*only_on(interface, outgoing=outgoing), _verdict(_ACCEPT)]


def only_on(interface: str, *, outgoing: bool) -> list[Any]:
    """Go on in the rule only for what uses that interface."""
    name = interface.encode().ljust(_INTERFACE_BYTES, b"\0")
    compare = {"sreg": 1, "op": nftsocket.Cmp.NFT_CMP_EQ, "data": {"attrs": [("NFTA_DATA_VALUE", name)]}}
    return [genex("meta", {"key": _OUT if outgoing else _IN, "dreg": 1}), genex("cmp", compare)]


def drop_listed(name: str) -> list[Any]:
    """Count and drop every packet whose network protocol is in the set."""
    return [
        genex("meta", {"key": nftsocket.Meta.NFT_META_NFPROTO, "dreg": 1}),
        genex("lookup", {"set": name, "sreg": 1, "set_id": 1}),
        genex("counter", {"packets": 0, "bytes": 0}),
        _verdict(_DROP),
    ]


def _verdict(code: int) -> Any:
    value = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    return genex("immediate", {"dreg": 0, "data": value})


def _bracket(kind: int) -> Message:
    message = nfgen_msg()
    message["res_id"] = NFNL_SUBSYS_NFTABLES
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST
    return message


def _message(shape: Any, kind: int, attributes: dict[str, Any]) -> Message:
    message = shape()
    message["attrs"] = [[name, value] for name, value in attributes.items()]
    message["header"]["type"] = (NFNL_SUBSYS_NFTABLES << 8) | kind
    message["header"]["flags"] = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND
    message["nfgen_family"] = _INET
    return message
