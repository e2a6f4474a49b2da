"""What somebody who works in Python does with journal.proto; prints one line of JSON."""

import json
import sys

import grpc
from grpc_status import rpc_status

import journal_pb2 as pb
import journal_pb2_grpc as rpc

TIMEOUT = 20


def detail_of(error):
    detail = pb.ErrorDetail()
    rpc_status.from_call(error).details[0].Unpack(detail)
    return detail


def refusal(call, *args):
    """The refusal of a call that must not succeed."""
    try:
        call(*args, timeout=TIMEOUT)
    except grpc.RpcError as error:
        detail = detail_of(error)
        return {
            "status": error.code().name,
            "code": detail.code,
            "message": detail.message,
            "retryable": detail.retryable,
            "outcomeUnknown": detail.outcome_unknown,
            "tailLsn": detail.tail_lsn,
        }
    raise AssertionError("the call was not refused")


def main():
    channels = [grpc.insecure_channel(endpoint) for endpoint in sys.argv[1:]]
    anywhere = rpc.JournalStub(channels[0])
    status = rpc.ClusterStub(channels[0]).Status(pb.StatusRequest(), timeout=TIMEOUT)
    anywhere.CreateJournal(
        pb.CreateJournalRequest(name="python", if_absent=True), timeout=TIMEOUT, wait_for_ready=True
    )
    session = anywhere.Session(pb.SessionRequest(journal="python"), timeout=TIMEOUT)
    head = rpc.JournalStub(grpc.insecure_channel(session.configuration.serving[0].address))

    def request(*data, **fields):
        records = [pb.NewRecord(data=one) for one in data]
        return pb.AppendRequest(journal="python", records=records, **fields)

    before = head.Tail(pb.TailRequest(journal="python"), timeout=TIMEOUT).tail_lsn
    first = head.Append(request(b"one", b"\x00\xff"), timeout=TIMEOUT)
    late = request(b"late", condition=pb.AppendCondition(expect_tail=first.first_lsn))
    negative = request(b"x", condition=pb.AppendCondition(expect_tail=-1))

    stream = head.AppendStream(
        iter([request(b"three", tag=1), late, request(b"four", tag=3)]), timeout=TIMEOUT
    )
    answers = [
        [answer.WhichOneof("result"), answer.appended.tag, answer.refused.error.code]
        for answer in stream
    ]

    start = pb.StartPosition(lsn=before + 1)
    read = anywhere.Read(
        pb.ReadRequest(journal="python", **{"from": start}, linearizable=True), timeout=TIMEOUT
    )
    subscribed = []
    follow = anywhere.Subscribe(
        pb.SubscribeRequest(journal="python", **{"from": start}), timeout=TIMEOUT
    )
    for message in follow:
        subscribed += [record.data.hex() for record in message.records]
        if len(subscribed) >= 4:
            follow.cancel()
            break

    print(
        json.dumps(
            {
                "ready": status.ready,
                "count": first.last_lsn - first.first_lsn + 1,
                "refused": refusal(head.Append, late),
                "negative": refusal(head.Append, negative),
                "unknown": refusal(anywhere.Tail, pb.TailRequest(journal="nobody")),
                "behind": refusal(head.Append, late)["tailLsn"] - before,
                "answers": answers,
                "read": [record.data.hex() for record in read.records],
                "subscribed": subscribed,
            }
        )
    )


main()
