#!/usr/bin/env bats
# Policies that have proved themselves run uncounted, and are stopped by the core's alarm.

bats_require_minimum_version 1.5.0
load lua/experiment.bash

setup() { machines_setup; }
teardown() { machines_cleanup; }

@test "a policy that loops after its trial is ended with its line, and the steward lives on" {
    machine a --hw amd --firmware none --memory 256M --cmdline test
    experiment alarm
}
