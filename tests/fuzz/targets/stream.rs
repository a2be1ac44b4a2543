#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stanzad_fuzz::stream::check(data));
