import json
import pathlib

import pytest
from google.protobuf import json_format

from tailrace import Answer, IntegrityError
from tailrace.v1 import content_pb2, event_pb2

CASES = json.loads((pathlib.Path(__file__).parents[2] / "testdata" / "folds.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_events_fold_to_the_answer_that_every_client_sees(case: dict) -> None:
    answer = Answer(case.get("after", 0))
    events = [json_format.ParseDict(event, event_pb2.Event()) for event in case["events"]]
    if "fault" in case:
        with pytest.raises(IntegrityError) as refused:
            for event in events:
                answer.apply(event)
        assert ("SHA-256" in str(refused.value)) == (case["fault"] == "hash")
        return
    for event in events:
        answer.apply(event)
    assert answer.text == case["text"]
    assert answer.output == [json_format.ParseDict(block, content_pb2.ContentBlock()) for block in case["output"]]
    assert answer.end is not None
