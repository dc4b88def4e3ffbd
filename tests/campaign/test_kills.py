"""A campaign that is killed and resumed; tests/kill_campaign.py does it as often as one likes."""

from kill_campaign import kill


def test_killed_campaign_loses_no_finished_line(tmp_path):
    kill(tmp_path, kills=5, queries=150)
