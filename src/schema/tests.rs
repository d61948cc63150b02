//! The promises of the schema floor.

mod differential;
mod oracle;
mod random;

#[test]
fn we_accept_and_read_what_apache_avro_accepts_and_reads() {
    for seed in 0..400 {
        differential::case(seed, 24).unwrap();
    }
}
