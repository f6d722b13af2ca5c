"""From a change of input to proxies that confirmed it: number it, build the state after it, push, and know who settled.

`ledger` numbers changes; `pusher` merges what comes during a push and offers the result to every stream; `settled` is
the barrier; `world` holds the current snapshot. Whatever generates resources is asked through `world`; the xDS protocol
itself is in `xds`. Must not import the CA or the webhooks.
"""
