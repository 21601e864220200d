import time, pytest
from jobs import claims
from jobs.services import JobSpec, enqueue_many
from django.db import connection
from tests.jobs.conftest import COMMITTED, broker, kind_of, nothing_held
pytestmark = COMMITTED
@pytest.mark.parametrize("before", ["none", "empty", "few", "done", "same_kind_running", "analyzed"])
def test_it(kind_of, before):
    by = kind_of(None, batch_size=8, batch_by="b"); other=kind_of(None); plain=kind_of(None,batch_size=4)
    with connection.cursor() as c:
        if before in ("few","same_kind_running"):
            enqueue_many(JobSpec(kind=other.name, payload={}) for n in range(50))
        if before == "same_kind_running":
            enqueue_many(JobSpec(kind=k.name, payload={}) for k in (by,plain) for n in range(50))
            for _ in range(30): claims.claim(by); claims.claim(plain)
        if before == "done":
            enqueue_many(JobSpec(kind=other.name, payload={}) for n in range(5000))
            c.execute("update jobs_job set state='done', attempts=1, finished_at=now()")
        if before != "none": c.execute("analyze jobs_job")
        enqueue_many(JobSpec(kind=k.name, payload={"b": n%1000}) for n in range(50_000) for k in (by,plain))
        if before == "analyzed": c.execute("analyze jobs_job")
        for k, key in ((by, claims._SAME_KEY), (plain,"")):
            ts=[]
            for _ in range(20):
                t=time.perf_counter(); claims.claim(k); ts.append(time.perf_counter()-t)
            ts.sort(); print("\n=====", before, k.name, "median ms", ts[10]*1e3)
            if ts[10]>.02:
                c.execute("EXPLAIN "+claims._CLAIM_BATCH.format(same_key=key), {"kind":k.name,"claim":None,"worker":None,"lease":1.0,"company":7})
                print("\n".join(r[0] for r in c.fetchall()))
