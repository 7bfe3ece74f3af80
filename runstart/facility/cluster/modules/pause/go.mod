module runstart/cluster/pause

go 1.26.0
