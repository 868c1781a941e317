package agreement
import ("testing";"fmt";"os";"strconv")
var debugTrace func(string)
func TestDebug(t *testing.T){ s:=os.Getenv("SEED"); if s=="" {t.Skip()}; n,_:=strconv.Atoi(s); debugTrace=func(l string){fmt.Println(l)}; fmt.Println(runSchedule(uint64(n))) }
