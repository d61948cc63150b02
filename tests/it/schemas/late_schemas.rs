//! Schemas that the registry does not have yet, or fails to return: only the partitions that need
//! them wait.

use super::*;

#[test]
fn schemas_registered_late_lose_no_record_and_block_no_other() {
    let mut stage = Stage::new("", 3);
    stage.scene.set("lanes", "1");
    stage.scene.schema_wait = "30s";
    let mut answers = Answers::default();
    let mut late = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "a", "type": "int"})]),
        "02",
    );
    let known = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "b", "type": "int"})]),
        "02",
    );
    answers.late.insert(
        u32::try_from(late["id"].as_u64().unwrap()).unwrap(),
        Duration::from_secs(16),
    );
    stage.front.set(answers);
    let mut ebbtide = stage.scene.start("ebbtide", &[]);
    let ready = || ebbtide.ask("/readyz").filter(|answer| answer.0 == 200);
    eventually("the instance is ready", Duration::from_secs(60), ready);

    // Partition 0 waits for the late schema, 1 has known schemas, 2 waits for a schema that is
    // never registered.
    late["partition"] = json!(0);
    let good = |partition: u32| {
        let mut message = known.clone();
        message["partition"] = json!(partition);
        message
    };
    let never = json!({ "id": 999_999_999, "partition": 2, "expect": "unknown_schema", "reason": "id 999999999" });
    let plan = vec![
        good(0),
        late.clone(),
        good(0),
        late,
        good(1),
        never.clone(),
        good(2),
        never,
        good(1),
    ];
    let began = Instant::now();
    let (acked, sent) = stage.produce(&plan, "late");
    // What must happen soon is measured from here, without the time that the producer takes to
    // start.
    let produced = began.elapsed();
    let committed = |partition: usize, offset: i64| {
        let topic = stage.scene.topics[0].clone();
        let scene = &stage.scene;
        eventually("it is committed", Duration::from_secs(90), || {
            (scene.committed(&topic, partition) >= offset).then_some(())
        });
        began.elapsed()
    };
    let apart = committed(1, 2) - produced;
    let waited = committed(0, 4);
    let given_up = committed(2, 3);
    assert!(
        apart < Duration::from_secs(11),
        "a partition that waits for nothing waited {apart:?}"
    );
    assert!(
        waited >= Duration::from_secs(11) && waited - produced < Duration::from_secs(28),
        "{waited:?}"
    );
    assert!(
        given_up >= Duration::from_secs(29) && given_up - produced < Duration::from_secs(45),
        "{given_up:?}"
    );

    // The id was given up: its next records do not wait any more, and neither do other records.
    let again = vec![
        json!({ "id": 999_999_999, "partition": 2, "expect": "unknown_schema" }),
        good(2),
    ];
    let (more, sent_again) = stage.produce(&again, "again");
    let began = Instant::now();
    let topic = stage.scene.topics[0].clone();
    eventually("the second is committed", Duration::from_secs(60), || {
        (stage.scene.committed(&topic, 2) >= 5).then_some(())
    });
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    ebbtide.stop();
    let plan = [plan, again].concat();
    let shifted = sent_again.into_iter().map(|mut sent| {
        sent["number"] = json!(sent["number"].as_u64().unwrap() + 9);
        sent
    });
    stage.assert_letters(&plan, &sent.into_iter().chain(shifted).collect::<Vec<_>>());
    stage.scene.check(&[acked, more], ALL);
}

/// Returns a message for `partition`.
fn at(message: &Value, partition: u32) -> Value {
    let mut message = message.clone();
    message["partition"] = json!(partition);
    message
}

#[test]
fn registry_that_fails_for_one_id_holds_no_partition_of_known_schemas() {
    let mut stage = Stage::new("", 3);
    stage.scene.set("lanes", "1");
    let mut answers = Answers::default();
    let failing = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "a", "type": "int"})]),
        "02",
    );
    let known = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "b", "type": "int"})]),
        "02",
    );
    let new = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "c", "type": "int"})]),
        "02",
    );
    let answers = |failing: &Value, fails: bool| {
        let mut some = Answers {
            own: answers.own.clone(),
            ..Answers::default()
        };
        some.failing
            .extend(fails.then(|| u32::try_from(failing["id"].as_u64().unwrap()).unwrap()));
        some
    };
    stage.front.set(answers(&failing, true));
    let mut ebbtide = stage.scene.start("ebbtide", &[]);
    let status = |ebbtide: &Ebbtide, wanted: u16| {
        eventually("readiness", Duration::from_secs(60), || {
            ebbtide.ask("/readyz").filter(|of| of.0 == wanted)
        });
    };
    status(&ebbtide, 200);
    let (first, sent) = stage.produce(&[at(&failing, 0), at(&known, 1)], "first");
    let topic = stage.scene.topics[0].clone();
    let committed = |partition: usize, offset: i64, patience: u64| {
        eventually("it is committed", Duration::from_secs(patience), || {
            (stage.scene.committed(&topic, partition) >= offset).then_some(())
        });
    };
    committed(1, 1, 20);
    status(&ebbtide, 503);
    // Long after the first failure, known schemas are stored immediately and a new one soon.
    std::thread::sleep(Duration::from_secs(15));
    let (second, _) = stage.produce(&[at(&known, 1), at(&known, 2)], "second");
    committed(1, 2, 5);
    committed(2, 1, 5);
    let (third, _) = stage.produce(&[at(&new, 2)], "third");
    committed(2, 2, 60);
    assert_eq!((stage.scene.committed(&topic, 0), sent.len()), (0, 2));
    status(&ebbtide, 503);
    stage.front.set(answers(&failing, false));
    stage
        .scene
        .caught_up(Duration::from_secs(90), &mut [&mut ebbtide.process]);
    status(&ebbtide, 200);
    ebbtide.stop();
    stage.scene.check(&[first, second, third], ALL);
}

#[test]
fn thousands_of_unknown_ids_block_no_other_partition_and_share_a_report() {
    let mut stage = Stage::new("", 2);
    stage.scene.set("lanes", "1");
    let mut answers = Answers {
        delay: Duration::from_millis(40),
        ..Answers::default()
    };
    let known = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "b", "type": "int"})]),
        "02",
    );
    let new = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "c", "type": "int"})]),
        "02",
    );
    stage.front.set(answers);
    let mut ebbtide = stage.scene.start("ebbtide", &[]);
    eventually("it is ready", Duration::from_secs(60), || {
        ebbtide.ask("/readyz").filter(|of| of.0 == 200)
    });
    let garbage =
        |id: u32| json!({ "id": 800_000_000 + id, "partition": 0, "expect": "unknown_schema" });
    let plan: Vec<Value> = (0..1_000)
        .map(garbage)
        .chain([at(&known, 0), at(&known, 1)])
        .collect();
    let (acked, sent) = stage.produce(&plan, "garbage");
    let topic = stage.scene.topics[0].clone();
    eventually(
        "the other partition is committed",
        Duration::from_secs(10),
        || (stage.scene.committed(&topic, 1) >= 1).then_some(()),
    );
    let (more, _) = stage.produce(&[at(&new, 1)], "new");
    eventually("a new schema is found", Duration::from_secs(10), || {
        (stage.scene.committed(&topic, 1) >= 2).then_some(())
    });
    assert!(
        stage.scene.committed(&topic, 0) < 1_001,
        "the test asks for too few ids"
    );
    stage
        .scene
        .caught_up(Duration::from_secs(180), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    stage.assert_letters(&plan, &sent);
    stage.scene.check(&[acked, more], ALL);
    let log = ebbtide.process.log();
    let warnings = log
        .matches("the registry does not know a schema; its records")
        .count();
    assert!(
        (1..20).contains(&warnings),
        "{warnings} warnings of 1,000 ids"
    );
}
