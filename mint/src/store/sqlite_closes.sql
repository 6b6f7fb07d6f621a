CREATE TRIGGER close_stays BEFORE UPDATE ON close_run BEGIN SELECT raise(ABORT, 'a close stays'); END;
CREATE TRIGGER close_kept BEFORE DELETE ON close_run BEGIN SELECT raise(ABORT, 'a close stays'); END;
CREATE TRIGGER close_total_stays BEFORE UPDATE ON close_total BEGIN SELECT raise(ABORT, 'a close stays'); END;
CREATE TRIGGER close_total_kept BEFORE DELETE ON close_total BEGIN SELECT raise(ABORT, 'a close stays'); END;
