"""Who works at the site that browsers look at, and who calls it: names in both languages, tickets of some days."""

AGENTS = {"agent1": "Li Wei", "agent2": "王芳", "agent3": "Zhang Min"}
#: Who signs in at the web: their names there, and the agent whose desk it is.
LI, WANG, ZHANG, CHIEF, ADMIN = "liwei", "wangfang", "zhangmin", "chief", "admin"
USERS = {LI: "agent1", WANG: "agent2", ZHANG: "agent3"}

CHEN, LIU, SHARED, STRANGER = "13800138001", "13800138002", "02155667700", "02155667788"
#: Callers whose newest ticket is Wang Fang's, one for each test that needs her to be rung: who answers owns the next ticket.
WANGS = ("周海", "吴敏", "Maria Costa", "郑强", "孙丽", "Tom Hale", "钱立", "冯雪", "Ines Moreau", "褚健")
NUMBERS = {name: f"1391000{n:04d}" for n, name in enumerate(WANGS)}
#: A name that would do harm, were it taken for anything but text; and one longer than any page.
HOSTILE, LONG = "<script>window.harmed=1</script>مرحبا<img src=x onerror=window.harmed=1>", "😀" * 10_000
HOSTILE_NUMBER, LONG_NUMBER = "13920000001", "13920000002"
CSV = {
    "agents": "id,name,phone,level,pin,lines,email\n"
    + "".join(f"{a},{n},{a},2,{1000 + i},,\n" for i, (a, n) in enumerate(AGENTS.items(), 1)),
    "customers": (
        "id,name,level,notes\n"
        "C1,华东精密机械有限公司,4,合同到期 2027-06\nC2,Lotus Clinic,2,\nC3,Harbour Logistics,3,Night shift calls too\n"
        "C4,云南茶叶合作社,1,\n"
    ),
    "contacts": (
        "id,customer_id,name,department,title,level,numbers,notes\n"
        f"P1,C1,陈小明,设备部,经理,4,{CHEN};021 5566 1001,\n"
        f"P2,C2,Liu Yang,IT,Administrator,2,{LIU},\n"
        f"P3,C3,Anna Berg,Dispatch,Shift lead,,{SHARED},\n"
        f"P4,C4,和丽,仓库,主管,,{SHARED},\n"
        f"H1,C2,{HOSTILE},{HOSTILE},,,{HOSTILE_NUMBER},\nH2,C2,Long,,,,{LONG_NUMBER},\n"
        + "".join(f"W{n},C3,{name},仓储部,,,{NUMBERS[name]},\n" for n, name in enumerate(WANGS))
    ),
    "tickets": (
        "id,customer_id,contact_id,owner,subject,category,severity,status,created_at,resolved_at\n"
        "1001,C1,P1,agent2,主轴运行十分钟后停机,Fault,4,open,2026-03-02 09:30,\n"
        "0900,C1,P1,agent1,Annual inspection,Other,1,closed,2025-11-12 14:00,2025-11-13 10:00\n"
        "0950,C1,P1,agent2,冷却液泄漏,Fault,3,closed,2025-12-20 10:00,2025-12-21 16:00\n"
        "1002,C2,P2,agent3,Printer prints blank pages,Fault,2,open,2026-03-03 11:00,\n"
        "1003,C3,P3,agent1,Gate barcode reader offline,Fault,3,pending,2026-03-04 08:15,\n"
        f"1301,C2,H1,agent2,{HOSTILE},Fault,2,open,2026-03-05 10:00,\n1302,C2,H2,agent2,Long,Fault,2,open,2026-03-05 10:00,\n"
        + "".join(
            f"11{n:02d},C3,W{n},agent2,Forklift {n + 1} stands still,Fault,2,open,2026-03-05 10:00,\n"
            for n in range(10)
        )
    ),
}
